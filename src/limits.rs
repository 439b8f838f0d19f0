//! Every cap in one place, each with its reason.
//!
//! A cap that input can reach must end in a refusal or in a line of
//! `coverage`, never in silence and never in a panic.

/// Largest request or response body that is parsed, unless configured lower.
/// Ten times the largest prompt of today's long-context models in English.
pub const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// Hard ceiling for a configured body cap: tape offsets are 26 bits wide.
pub const MAX_BODY_BYTES_CEILING: usize = (1 << 26) - 1;

/// Nesting depth of a JSON document. Provider schemas stay under 30; parsers
/// of other languages overflow their stack between 1,000 and 10,000.
pub const MAX_JSON_DEPTH: usize = 128;

/// Values on the tape of a JSON document: this many, plus one for every
/// [`JSON_BYTES_PER_VALUE`] bytes, so that a tape of 16-byte nodes stays
/// within twice the body plus 64 KiB.
pub const JSON_VALUES_BASE: usize = 4096;
/// See [`JSON_VALUES_BASE`].
pub const JSON_BYTES_PER_VALUE: usize = 8;

/// One event of a stream (an SSE event, an NDJSON line, an event-stream
/// message). Providers send whole images in one event at most.
pub const MAX_STREAM_EVENT_BYTES: usize = 1024 * 1024;

/// Text channels alive in one stream: choices x blocks x tool calls.
pub const MAX_STREAM_CHANNELS: usize = 256;

/// Longest name of a call that comes in pieces, in bytes.
pub const MAX_JOINED_NAME: usize = 1024;

/// Bytes withheld from a client over all channels of one stream while a match
/// may still grow. Reached only by a stream built for it; then the stream is
/// cut with the dialect's error event.
pub const MAX_HELD_BYTES: usize = 256 * 1024;

/// Text before the settled point of a stream that is unmasked again with what
/// follows: a run of letters or digits under one disguise.
pub const DISGUISE_CONTEXT: usize = 64;

/// Text withheld at most because it may be a value in disguise. What is longer
/// goes, and `coverage` says so.
pub const MAX_DISGUISE_BYTES: usize = 4096;

/// Longest match a streamed rule may have. Bounds the hold-back of a channel.
pub const MAX_MATCH_BYTES: usize = 8192;

/// Values of one request that placeholders stand for, and their bytes with
/// those of the placeholders. What finds no room is redacted, and the record
/// says so.
pub const MAX_PLACEHOLDERS: usize = 4096;
/// See [`MAX_PLACEHOLDERS`].
pub const MAX_PLACEHOLDER_BYTES: usize = 512 * 1024;

/// Names remembered as holding nothing, by a thread and direction: at most so many times
/// [`MAX_RECORDED_NAME`] bytes.
pub const MAX_CLEAN_NAMES: usize = 512;

/// Bytes of a name in the audit record. Names of tools have at most 128.
pub const MAX_RECORDED_NAME: usize = 128;

/// Findings kept per message in the audit record. Further ones are counted.
pub const MAX_FINDINGS: usize = 256;

/// Cells of the shared quota table. A cell is copied whole on each update, so
/// many small cells beat few large ones; an unused one takes no memory.
pub const QUOTA_SHARDS: u32 = 16_384;

/// Counters in one quota cell. With [`QUOTA_SHARDS`] and 64 bytes a counter
/// the table never takes more than 67 MB of the host, whoever sends what. At a
/// quarter full, with four counters a subject, one cell in a million is full.
pub const QUOTA_SLOTS: usize = if cfg!(test) { 8 } else { 64 };

/// How long a counter outlives its window. A worker that read its clock before
/// the edge and lost a race may still update the cell; the counter must then
/// be there, or the old window would start again at zero.
pub const QUOTA_GRACE_MS: u64 = 60_000;

/// Quotas that one request is held to.
pub const MAX_QUOTAS: usize = 64;

/// Bytes at the end of a message that its similarity hash reads: at most 2^14
/// words and pairs, which its 15-bit counters hold.
pub const FINGERPRINT_BYTES: usize = 16 * 1024;

/// Texts up to this size are read whole to estimate their tokens; of longer
/// ones [`ESTIMATE_SAMPLE`] bytes of each [`ESTIMATE_STRIDE`].
pub const ESTIMATE_WHOLE: usize = 64 * 1024;
/// See [`ESTIMATE_WHOLE`].
pub const ESTIMATE_STRIDE: usize = 16 * 1024;
/// See [`ESTIMATE_WHOLE`].
pub const ESTIMATE_SAMPLE: usize = 4 * 1024;

/// Layers of encoding that are undone one inside the other. Two are seen in
/// attacks; each layer shrinks the text, so the third costs little.
pub const MAX_DECODE_DEPTH: usize = 3;

/// Bytes of all views of a text: this many for each of its own bytes beyond
/// [`LONG_TEXT`], [`VIEW_BYTES_PER_FIRST_BYTE`] before, plus [`VIEW_BYTES_BASE`]. Cleaned, joined and decoded once each is three; text
/// built to have more views is cut there, and the record says so.
pub const VIEW_BYTES_PER_BYTE: usize = 4;
/// See [`VIEW_BYTES_PER_BYTE`]. Lets a short text have every view.
pub const VIEW_BYTES_BASE: usize = 16 * 1024;
/// The same for each byte of the first [`LONG_TEXT`]: pictures in base64 stand in
/// texts of agents, and look like text in every disguise, eight views of it.
pub const VIEW_BYTES_PER_FIRST_BYTE: usize = 9;
/// See [`VIEW_BYTES_PER_FIRST_BYTE`].
pub const LONG_TEXT: usize = 256 * 1024;

/// Bytes of what one compressed run inflates to: as much as a model reads of an
/// attachment. A longer one is cut here, and coverage is partial.
pub const MAX_INFLATED_BYTES: usize = 64 * 1024;

/// Bytes that all compressed runs of a text, or of a view, may inflate to beyond
/// [`VIEW_BYTES_PER_BYTE`] times its own.
pub const INFLATED_BYTES_BASE: usize = 4 * 1024;

/// Bytes of views of what was inflated, all texts of a body together: a body may
/// be thousands of short texts. A run beyond them is not read, and coverage is
/// partial.
pub const MAX_INFLATED_VIEW_BYTES: usize = 1024 * 1024;

/// Bytes that views of inflated text may take of one text, beyond those of others.
pub const INFLATED_VIEW_BYTES: usize = 256 * 1024;

/// Bytes of one pattern as written.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// Bytes of one compiled pattern (Thompson NFA). A counted class of a few
/// hundred takes some ten KiB.
pub const MAX_PATTERN_NFA_BYTES: usize = 256 * 1024;

/// Rules in one engine: findings name a rule by 16 bits.
pub const MAX_RULES: usize = 4096;

/// How far before a match context words may stand, in bytes. Bounds the text
/// a stream keeps after it was sent.
pub const MAX_CONTEXT_BYTES: usize = 512;

/// How far back from its `@` or digit a token is looked at, in bytes.
pub const MAX_TOKEN_LOOKBACK: usize = 64;

/// Bytes of a plugin configuration, custom rules included. Envoy delivers it
/// in one piece and keeps it as long as the listener.
pub const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;

/// Tools of a list whose hashes the audit record holds. Servers have some tens;
/// an answer built to have more must not fill the log.
pub const MAX_LISTED_TOOLS: usize = 128;

/// Of a long part of a message, what is looked at on both sides of the border
/// to its neighbours for a value that reaches over it. All that is matched in
/// prose and credentials but for keys in armour is shorter.
pub const JOINED_BYTES: usize = 512;

/// Tokens of one request as published for Envoy's rate limit filter, which
/// charges nothing at all for a number above this.
pub const MAX_PUBLISHED_TOKENS: u64 = 1_000_000_000;

/// Cells of the table of baselines, and the bytes of one: with both the table
/// never takes more than 67 MB of the host, whoever sends what. A subject with
/// two models and ten tools takes some 500 bytes, so there is room for some
/// hundred thousand; an unused cell takes none.
pub const BASELINE_CELLS: u32 = 4096;
/// See [`BASELINE_CELLS`].
pub const BASELINE_CELL_BYTES: usize = 16 * 1024;

/// Bytes of what is known of one subject: one must not take the room of all.
pub const BASELINE_SKETCH_BYTES: usize = 8 * 1024;

/// Names in a baseline. Providers take up to 128 tools in a request.
pub const BASELINE_NAMES: usize = 256;

/// Bytes of an approval service's answer. It says one word and a reason.
pub const MAX_APPROVAL_REPLY: usize = 16 * 1024;

/// Characters of the reason that are passed on and recorded.
pub const MAX_APPROVAL_REASON: usize = 200;

/// Calls that one question asks for: more than a human reads is refused.
pub const MAX_APPROVAL_CALLS: usize = 32;

/// Arguments that a question shows. Longer ones are not shown at all: behind a
/// cut anything could stand.
pub const MAX_APPROVAL_ARGUMENTS: usize = 4096;

/// Longest wait for an approval service. Envoy holds the call's buffers as long.
pub const MAX_APPROVAL_TIMEOUT_MS: u32 = 60_000;

/// Headers of MCP on one request: four are defined, and one for each argument
/// that a tool asks to have there. Each is looked for in all arguments.
pub const MAX_MCP_HEADERS: usize = 32;
