//! What a dialect says about a document: the seam between `wire` and the rest.

use std::ops::Range;

use super::claims::Skips;
use super::edit::Edit;
use super::json::Doc;
use super::refusal::{Refusal, Reply};
use crate::text::Span;

/// A wire format of one provider or protocol.
///
/// Contract: after `request`, `response` or `event`, every string leaf of the
/// document is a span, or is counted in `skipped`. [`Claims::finish`](super::Claims::finish) keeps it
/// for fields the dialect does not know.
pub trait Dialect: Sync {
    /// The file name of the dialect, and its name in records: `openai_chat`.
    fn id(&self) -> &'static str;

    /// OpenTelemetry `gen_ai.provider.name`.
    fn provider(&self) -> &'static str;

    /// What a request for `path` (without query) is; `None`: not this dialect.
    fn operation(&self, method: &str, path: &str) -> Option<Operation>;

    /// Read a request. `path` is there for dialects that name the model in it.
    fn request(&self, op: Operation, path: &str, doc: &Doc<'_>) -> Result<Request, WireError>;

    /// Read a whole response.
    fn response(&self, op: Operation, doc: &Doc<'_>) -> Result<Response, WireError>;

    /// How a response of this content type is framed.
    fn framing(&self, op: Operation, content_type: &str) -> Framing;

    /// Read one event of a streamed response. `name` is the SSE `event:` field
    /// or the event-stream `:event-type`, empty where there is none.
    fn event(&self, op: Operation, name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError>;

    /// Whether the data of an event that is not JSON ends the stream: `[DONE]`.
    fn is_end_mark(&self, data: &[u8]) -> bool {
        let _ = data;
        false
    }

    /// The error body that makes this dialect's SDKs raise their own typed
    /// exception.
    fn refusal(&self, refusal: &Refusal) -> Reply;

    /// The bytes that end a stream with this dialect's error event. In
    /// [`Framing::JsonArray`] it is the last element and the bracket: the caller
    /// puts `[` or a comma in front. Empty where nothing can be said.
    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8>;

    /// Edits that put a number of output tokens, a model name or a wish for
    /// usage into a request. `None`: the dialect has no such field.
    fn edit_field(&self, op: Operation, doc: &Doc<'_>, field: FieldEdit<'_>) -> Option<Vec<Edit>>;
}

/// OpenTelemetry `gen_ai.operation.name`, as far as it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Chat and text generation over messages.
    Chat,
    /// Text completion over a prompt.
    TextCompletion,
    /// Like `Chat`, streamed by path rather than by a field of the body.
    ChatStream,
    /// Embeddings.
    Embeddings,
    /// Rerank documents against a query.
    Rerank,
    /// Classify text by a provider's moderation model.
    Moderation,
    /// Make or edit an image from a prompt.
    Image,
    /// Count tokens of a prompt: same body as chat, no generation.
    CountTokens,
    /// List of models: a GET without body, whose answer is filtered.
    ListModels,
    /// One MCP message or batch.
    Mcp,
    /// One A2A message.
    A2a,
    /// A request without text for a model: agent cards, one model's data,
    /// session ends.
    Metadata,
    /// Anything else, read by the `json` dialect.
    Other,
}

impl Operation {
    /// The names of all operations, for configuration errors.
    pub const NAMES: &'static [&'static str] = &[
        "chat",
        "text_completion",
        "embeddings",
        "rerank",
        "moderation",
        "image",
        "count_tokens",
        "list_models",
        "mcp",
        "a2a",
        "metadata",
        "other",
    ];

    /// The name used in records and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat | Operation::ChatStream => "chat",
            Operation::TextCompletion => "text_completion",
            Operation::Embeddings => "embeddings",
            Operation::Rerank => "rerank",
            Operation::Moderation => "moderation",
            Operation::Image => "image",
            Operation::CountTokens => "count_tokens",
            Operation::ListModels => "list_models",
            Operation::Mcp => "mcp",
            Operation::A2a => "a2a",
            Operation::Metadata => "metadata",
            Operation::Other => "other",
        }
    }
}

/// How a response body is cut into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON document.
    Whole,
    /// `text/event-stream`, WHATWG HTML section 9.2.
    Sse,
    /// One JSON document a line.
    Ndjson,
    /// One JSON array whose elements arrive over time (Gemini without `alt=sse`).
    JsonArray,
    /// `application/vnd.amazon.eventstream`, binary with CRCs.
    EventStream,
}

/// A value of a request field, and the raw bytes it stands in (a string's
/// quotes included).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<T> {
    /// The decoded value.
    pub value: T,
    /// Raw bytes in the body; `None` where it stands in the path.
    pub range: Option<Range<usize>>,
}

/// What a request asks, as far as policy needs it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The model asked for.
    pub model: Option<Field<String>>,
    /// Models the upstream may fall back to by the request's own wish
    /// (OpenRouter `models`). Policy must allow each of them.
    pub models_also: Vec<Field<String>>,
    /// A streamed answer is asked for.
    pub stream: bool,
    /// The client asked for usage in the stream itself.
    pub stream_usage: bool,
    /// Cap on output tokens that the client set.
    pub max_output_tokens: Option<Field<u64>>,
    /// Answers asked for (`n`, `candidateCount`); 1 if absent.
    pub choices: u32,
    /// Sampling temperature, if set.
    pub temperature: Option<Field<f64>>,
    /// Names of the tools offered.
    pub tools_offered: Vec<String>,
    /// Names of tools that the model is told to call.
    pub tools_forced: Vec<String>,
    /// Skills that A2A messages ask for in their metadata.
    pub skills: Vec<String>,
    /// MCP messages, one each.
    pub rpc: Vec<RpcCall>,
    /// Tool calls in the history, or the MCP or A2A calls of this request.
    pub tool_calls: Vec<ToolCall>,
    /// Messages or items in the conversation.
    pub messages: u32,
    /// Images and other media in the request.
    pub media: u32,
    /// Every text.
    pub spans: Vec<Span>,
    /// Ids, names and numbers that are no text, and in which a value may hide.
    pub names: Vec<Span>,
    /// Raw bytes in which texts of a kind are one text, cut.
    pub runs: Vec<Range<usize>>,
    /// What was left alone, by reason.
    pub skipped: Skips,
    /// MCP or A2A methods, one per message of a batch.
    pub methods: Vec<String>,
    /// JSON-RPC ids to answer, as raw JSON, for [`Refusal::rpc_ids`].
    pub rpc_ids: Vec<String>,
}

/// What a whole response carries.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The model that answered, as the provider says.
    pub model: Option<String>,
    /// Every text.
    pub spans: Vec<Span>,
    /// Ids, names and numbers that are no text, and in which a value may hide.
    pub names: Vec<Span>,
    /// Raw bytes in which texts of a kind are one text, cut.
    pub runs: Vec<Range<usize>>,
    /// What was left alone, by reason.
    pub skipped: Skips,
    /// Tokens as the provider counted them.
    pub usage: Option<Usage>,
    /// Finish reason of the first choice.
    pub finish: Option<String>,
    /// Tools the model calls.
    pub tool_calls: Vec<ToolCall>,
    /// Arguments come as values with paths (`partialArgs`), which nobody here
    /// puts together.
    pub partial_calls: bool,
    /// See [`Claims::echo`](super::Claims::echo): to be replaced by `null` when a text is edited.
    pub echoes: Vec<Range<usize>>,
    /// Byte range and id of every model in a list of models. Ranges are whole
    /// array elements.
    pub models_listed: Vec<Field<String>>,
    /// Byte range, name and description hash input of every tool in a list of
    /// tools (MCP `tools/list`). Ranges are whole array elements.
    pub tools_listed: Vec<Field<String>>,
    /// The same of the skills on an A2A agent's card.
    pub skills_listed: Vec<Field<String>>,
    /// Methods that an MCP server asks of its client.
    pub methods: Vec<String>,
}

/// What one event of a stream carries.
#[derive(Clone, Debug, Default)]
pub struct StreamEvent {
    /// Texts of the event, in order.
    pub pieces: Vec<Piece>,
    /// Whole texts of the event that belong to no channel (repeated final
    /// texts, error messages). Scanned alone.
    pub spans: Vec<Span>,
    /// See [`Request::names`].
    pub names: Vec<Span>,
    /// What was left alone, by reason.
    pub skipped: Skips,
    /// The model that answers.
    pub model: Option<String>,
    /// Usage so far. Later events replace the fields they carry.
    pub usage: Option<Usage>,
    /// The event is nothing but usage: it may be taken out if the client had
    /// not asked for it.
    pub usage_only: bool,
    /// Finish reason.
    pub finish: Option<String>,
    /// See [`Claims::echo`](super::Claims::echo): to be replaced by `null` in every event of a stream
    /// whose text may be edited, for a later event can complete a match.
    pub echoes: Vec<Range<usize>>,
    /// Channels that this event ends: their held text can be settled.
    pub closes: Vec<Channel>,
    /// Indexes whose channels all end with this event, whatever their field
    /// and `sub`: a finished choice, item or block.
    pub closes_index: Vec<u32>,
    /// The last event that carries content or usage.
    pub done: bool,
    /// Tool calls that start in this event, with the channel of their
    /// arguments.
    pub tool_calls: Vec<(Channel, ToolCall)>,
    /// See [`Response::partial_calls`].
    pub partial_calls: bool,
    /// Calls that earlier events have told, said again in full. Without a name:
    /// that of the channel.
    pub calls_again: Vec<(Channel, ToolCall)>,
    /// See [`Response::tools_listed`].
    pub tools_listed: Vec<Field<String>>,
    /// See [`Response::methods`].
    pub methods: Vec<String>,
}

/// One continuing text of a stream: a choice's content, a block, an item, the
/// arguments of one tool call. Equal channels continue each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// Which of the dialect's text fields: content, refusal, reasoning …
    pub field: u16,
    /// Choice, output item or content block.
    pub index: u32,
    /// Tool call, content part or summary part in it.
    pub sub: u32,
}

/// A part of a channel's text in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text it continues.
    pub channel: Channel,
    /// Where it lies in the event's document.
    pub span: Span,
}

/// A tool the model calls, or that an MCP or A2A request calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Raw bytes of the arguments: a JSON object, or the inside of a JSON
    /// string that holds one.
    pub arguments: Option<Range<usize>>,
}

/// An MCP request or notification: what is asked of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcCall {
    /// `tools/call`, `resources/read` …
    pub method: String,
    /// Tool or prompt.
    pub name: Option<String>,
    /// Resource.
    pub uri: Option<String>,
}

/// Tokens as a provider counts them. `None`: it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: Option<u64>,
    /// All output tokens, reasoning included.
    pub output: Option<u64>,
    /// Input tokens read from a cache.
    pub cached: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Take over the fields that `later` carries.
    pub fn merge(&mut self, later: Usage) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.reasoning = later.reasoning.or(self.reasoning);
    }
}

/// A field to write into a request.
#[derive(Clone, Copy, Debug)]
pub enum FieldEdit<'a> {
    /// Name of the model.
    Model(&'a str),
    /// Cap on output tokens.
    MaxOutputTokens(u64),
    /// Ask for usage in the stream.
    StreamUsage,
}

/// A body that is JSON but not this dialect's. The request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Field and fault, in the dialect's names; never a value from the body.
    pub what: &'static str,
}
