//! How many tokens a text has, without a vocabulary: for admission only.
//!
//! One pass marks the class of each byte in bit masks of 64 bytes, and counts
//! what costs tokens: word starts, letters far into a word, case changes,
//! digits, punctuation, line breaks, lead bytes of each script. A weight for
//! each count and each family of tokenizers turns that into tokens. The weights
//! were fitted to counts of real tokenizers (least absolute relative error, no
//! weight below zero); the test below prints the error by set.
//!
//! Settlement goes by the provider's own count. A text made to be misjudged
//! gets in on a small reservation once, and its overspend is charged.

use crate::lanes::{BLOCK, Lanes, is, within};
use crate::limits::{ESTIMATE_SAMPLE, ESTIMATE_STRIDE, ESTIMATE_WHOLE};

/// Tokenizers that cut text alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// GPT-4o and later.
    O200k,
    /// GPT-4, GPT-3.5, `text-embedding-3`. For unknown models too: its counts
    /// are in the middle.
    #[default]
    Cl100k,
    /// Llama 3 and later.
    Llama3,
    /// Llama 2, Mistral, and other SentencePiece vocabularies of 32,000.
    Llama2,
    /// Claude. Fitted to the last tokenizer whose vocabulary was published;
    /// later ones count more.
    Claude,
}

/// Tokens of an image where nothing is known of its size: the most that
/// Anthropic charges for one (about 1,600, "Vision" in its documentation);
/// OpenAI charges up to 1,105 for GPT-4o.
pub const IMAGE_TOKENS: u64 = 1600;

/// Role and separators of a message in ChatML (OpenAI cookbook, "How to count
/// tokens with tiktoken": 3 a message, 1 a role).
pub const MESSAGE_TOKENS: u64 = 4;

const FEATURES: usize = 26;
type Weights = [u16; FEATURES];

/// Thousandths of a token, in the order of [`Count`].
const O200K: Weights = [
    1009, 18, 16, 92, 1533, 145, 178, 363, 763, 57, 583, 967, 10, 364, 11, 725, 360, 296, 377, 1010, 791,
    715, 589, 1737, 2256, 10,
];
const CL100K: Weights = [
    1012, 32, 10, 87, 1347, 94, 650, 342, 832, 44, 564, 957, 10, 268, 12, 563, 381, 621, 977, 660, 971, 1070,
    747, 1859, 2782, 809,
];
const LLAMA3: Weights = [
    1005, 37, 10, 86, 1348, 93, 650, 349, 811, 44, 578, 955, 10, 236, 12, 447, 289, 206, 481, 490, 661, 764,
    486, 1606, 2820, 587,
];
const LLAMA2: Weights = [
    1015, 38, 92, 125, 1365, 306, 158, 909, 651, 157, 767, 1148, 634, 461, 60, 438, 280, 774, 1151, 330,
    1084, 1456, 909, 1564, 3946, 769,
];
// The tokenizer folds full-width and styled letters into ASCII (NFKC). The fit
// makes them and emoji nearly free; 250 and 500 keep a text of them from being so.
const CLAUDE: Weights = [
    1027, 10, 41, 22, 1106, 210, 803, 252, 707, 123, 817, 982, 232, 10, 13, 742, 441, 756, 1132, 697, 969,
    982, 520, 250, 500, 899,
];

/// Tokens of the texts of a request to this model, as they stand inside the
/// strings of its JSON body.
pub fn of_json<'a>(model: &str, texts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut estimate = Estimate::new(Family::of_model(model));
    texts.into_iter().for_each(|text| estimate.json(text));
    estimate.total()
}

impl Family {
    /// By the model's name, as far as names tell.
    pub fn of_model(model: &str) -> Family {
        let model = model.to_ascii_lowercase();
        let name = model.rsplit('/').next().unwrap_or_default();
        let has = |parts: &[&str]| parts.iter().any(|p| name.contains(p));
        let starts = |parts: &[&str]| parts.iter().any(|p| name.starts_with(p));
        if has(&["claude"]) {
            Family::Claude
        } else if has(&["llama-2", "llama2", "mistral", "mixtral", "codestral"]) {
            Family::Llama2
        } else if has(&["llama"]) {
            Family::Llama3
        } else if starts(&["gpt-4o", "gpt-4.", "gpt-5", "chatgpt-4o", "o1", "o3", "o4", "gpt-oss"]) {
            Family::O200k
        } else {
            Family::Cl100k
        }
    }

    fn weights(self) -> &'static Weights {
        match self {
            Family::O200k => &O200K,
            Family::Cl100k => &CL100K,
            Family::Llama3 => &LLAMA3,
            Family::Llama2 => &LLAMA2,
            Family::Claude => &CLAUDE,
        }
    }
}

/// Adds up the tokens of the texts of a request.
#[derive(Clone, Debug)]
pub struct Estimate {
    weights: &'static Weights,
    /// Thousandths of a token.
    milli: u64,
}

impl Estimate {
    /// No text yet.
    pub fn new(family: Family) -> Self {
        Estimate { weights: family.weights(), milli: 0 }
    }

    /// Add a text. Bytes that are not UTF-8 count as something.
    ///
    /// Of a text over 64 KiB, a quarter is looked at, evenly spread.
    pub fn text(&mut self, text: &[u8]) {
        self.sampled(text, |counter, part| counter.push(part));
    }

    /// Add the inside of a JSON string, escapes read as what they stand for.
    pub fn json(&mut self, raw: &[u8]) {
        self.sampled(raw, unescape);
    }

    /// Add what is not text.
    pub fn tokens(&mut self, tokens: u64) {
        self.milli = self.milli.saturating_add(tokens.saturating_mul(1000));
    }

    /// Tokens so far, rounded up.
    pub fn total(&self) -> u64 {
        self.milli.div_ceil(1000)
    }

    fn sampled(&mut self, text: &[u8], read: impl Fn(&mut Counter, &[u8])) {
        let mut counter = Counter::default();
        let mut seen = text.len();
        if text.len() <= ESTIMATE_WHOLE {
            read(&mut counter, text);
        } else {
            seen = 0;
            for stride in text.chunks(ESTIMATE_STRIDE) {
                let part = stride.get(..ESTIMATE_SAMPLE).unwrap_or(stride);
                counter.carry = Carry::default();
                read(&mut counter, part);
                seen += part.len();
            }
        }
        let weighted = counter.counts.iter().zip(self.weights).map(|(&n, &w)| n * u64::from(w)).sum::<u64>();
        let scaled = u128::from(weighted) * text.len() as u128 / seen.max(1) as u128;
        self.milli = self.milli.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX));
    }
}

/// What is counted; the order of the weights.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Word,
    /// Letters with three, five and eleven before them in their word.
    Letter4,
    Letter6,
    Letter12,
    /// Upper after lower, upper after upper, lower after an upper that ends a
    /// run of letters: what cuts identifiers and base64.
    Camel,
    Caps,
    AfterCaps,
    Digit,
    DigitRun,
    Punct,
    PunctRun,
    Break,
    BreakMore,
    /// The second space of a run, and each further one: indentation.
    Space2,
    Space3,
    /// Lead bytes by script, in the order of [`SCRIPTS`].
    Latin,
    /// Start of a run of bytes beyond ASCII.
    WideRun = FEATURES - 1,
}

/// Last lead byte of each group of scripts, by UTF-8: Latin supplements; Greek,
/// Cyrillic, Armenian; Hebrew, Arabic and more to U+07FF; Indic, Thai and more;
/// symbols and punctuation; kana and CJK punctuation; Han; Hangul; private and
/// full-width forms; all beyond U+FFFF, emoji first.
const SCRIPTS: [u8; 10] = [0xcb, 0xd5, 0xdf, 0xe1, 0xe2, 0xe3, 0xe9, 0xed, 0xef, 0xff];

#[derive(Default)]
struct Counter {
    counts: [u64; FEATURES],
    carry: Carry,
}

/// Masks of the block before, for what reaches across.
#[derive(Clone, Copy, Default)]
struct Carry {
    lower: u64,
    upper: u64,
    digit: u64,
    space: u64,
    space2: u64,
    brk: u64,
    punct: u64,
    wide: u64,
    letter: u64,
    run2: u64,
    run4: u64,
}

impl Counter {
    fn push(&mut self, text: &[u8]) {
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block, BLOCK);
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            for (to, from) in block.iter_mut().zip(rest) {
                *to = *from;
            }
            self.block(&block, rest.len());
        }
    }

    fn add(&mut self, what: Count, mask: u64) {
        if let Some(count) = self.counts.get_mut(what as usize) {
            *count += u64::from(mask.count_ones());
        }
    }

    /// `len`: how many bytes of the block are text. After a short block the
    /// carry is that of a gap, which costs a word start in a long text.
    fn block(&mut self, block: &[u8; BLOCK], len: usize) {
        let valid = u64::MAX >> (BLOCK - len.clamp(1, BLOCK));
        let masks = masks(block);
        let [lower, upper, digit, space, brk, punct, wide] = masks;
        let (lower, upper, digit, space) = (lower & valid, upper & valid, digit & valid, space & valid);
        let (brk, punct, wide) = (brk & valid, punct & valid, wide & valid);
        let old = self.carry;
        let letter = lower | upper;
        let run2 = letter & before(letter, old.letter, 1);
        let run4 = run2 & before(run2, old.run2, 2);
        let run6 = run4 & before(run2, old.run2, 4);
        let run8 = run4 & before(run4, old.run4, 4);
        let run12 = run8 & before(run4, old.run4, 8);
        let space2 = space & before(space, old.space, 1);
        let after_upper = before(upper, old.upper, 1);
        self.add(Count::Word, letter & !run2);
        self.add(Count::Letter4, run4);
        self.add(Count::Letter6, run6);
        self.add(Count::Letter12, run12);
        self.add(Count::Camel, upper & before(lower, old.lower, 1));
        self.add(Count::Caps, upper & after_upper);
        self.add(Count::AfterCaps, lower & before(upper & run2, old.upper & old.run2, 1));
        self.add(Count::Digit, digit);
        self.add(Count::DigitRun, digit & !before(digit, old.digit, 1));
        self.add(Count::Punct, punct);
        self.add(Count::PunctRun, punct & !before(punct, old.punct, 1));
        self.add(Count::Break, brk & !before(brk, old.brk, 1));
        self.add(Count::BreakMore, brk & before(brk, old.brk, 1));
        let space3 = space2 & before(space2, old.space2, 1);
        self.add(Count::Space2, space2 & !space3);
        self.add(Count::Space3, space3);
        if wide != 0 {
            self.add(Count::WideRun, wide & !before(wide, old.wide, 1));
            self.scripts(block);
        }
        self.carry = Carry { lower, upper, digit, space, space2, brk, punct, wide, letter, run2, run4 };
    }

    fn scripts(&mut self, block: &[u8; BLOCK]) {
        let start = Count::Latin as usize;
        let Some(counts) = self.counts.get_mut(start..start + SCRIPTS.len()) else { return };
        for &byte in block.iter().filter(|&&b| b >= 0xc2) {
            let script = SCRIPTS.iter().take_while(|&&last| last < byte).count();
            if let Some(count) = counts.get_mut(script) {
                *count += 1;
            }
        }
    }
}

/// The mask moved by `by` bytes, filled from the block before.
fn before(mask: u64, old: u64, by: u32) -> u64 {
    mask << by | old >> (64 - by)
}

/// A bit a byte for each class: lower, upper, digit, space, break or control,
/// punctuation, beyond ASCII.
#[inline(always)]
fn masks(block: &[u8; BLOCK]) -> [u64; 7] {
    let lanes = Lanes::new(block);
    let lower = lanes.mask(|v| within(v, b'a', b'z'));
    let upper = lanes.mask(|v| within(v, b'A', b'Z'));
    let digit = lanes.mask(|v| within(v, b'0', b'9'));
    let space = lanes.mask(|v| is(v, b' '));
    let brk = lanes.mask(|v| within(v, 0, 0x1f) | is(v, 0x7f));
    let wide = lanes.mask(|v| v);
    [lower, upper, digit, space, brk, !(lower | upper | digit | space | brk | wide), wide]
}

/// Push what a JSON string stands for, through a buffer.
fn unescape(counter: &mut Counter, raw: &[u8]) {
    let mut rest = raw;
    if memchr::memchr(b'\\', rest).is_none() {
        return counter.push(raw);
    }
    let mut out = Buffer { bytes: [0; BUFFER_BYTES], len: 0 };
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.push(counter, plain);
        let used = match escape.get(1) {
            Some(b'u') => out.unicode(counter, escape),
            Some(b'n' | b'r' | b't' | b'b' | b'f') => out.escape(counter, b"\n"),
            Some(other) => out.escape(counter, std::slice::from_ref(other)),
            None => 1,
        };
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push(counter, rest);
    out.flush(counter);
}

/// A multiple of the block, so that only the last push is a short block; and small, for
/// it is zeroed for each string, of which a request may have hundreds.
const BUFFER_BYTES: usize = 4 * BLOCK;

struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    len: usize,
}

impl Buffer {
    fn push(&mut self, counter: &mut Counter, mut text: &[u8]) {
        while !text.is_empty() {
            let room = self.bytes.get_mut(self.len..).unwrap_or_default();
            let n = room.len().min(text.len());
            let (now, later) = text.split_at_checked(n).unwrap_or((text, &[]));
            if let Some(to) = room.get_mut(..n) {
                to.copy_from_slice(now);
            }
            self.len += n;
            text = later;
            if self.len == self.bytes.len() {
                self.flush(counter);
            }
        }
    }

    fn escape(&mut self, counter: &mut Counter, text: &[u8]) -> usize {
        self.push(counter, text);
        2
    }

    /// `\uXXXX`. The first half of a surrogate pair stands for the character,
    /// by a lead byte of the right script; the second half for nothing.
    fn unicode(&mut self, counter: &mut Counter, escape: &[u8]) -> usize {
        let digits = escape.get(2..6).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(0xd800..0xdc00) => self.push(counter, "\u{1f600}".as_bytes()),
            Some(0xdc00..0xe000) => {}
            code => {
                let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
                self.push(counter, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        6
    }

    fn flush(&mut self, counter: &mut Counter) {
        counter.push(self.bytes.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]
    use super::*;

    fn text(text: &str) -> u64 {
        let mut e = Estimate::new(Family::O200k);
        e.text(text.as_bytes());
        e.total()
    }

    #[test]
    fn near_the_truth_on_plain_cases() {
        // Counts of o200k_base.
        for (s, least, most) in [
            ("", 0, 0),
            ("Hello, world!", 3, 5),
            ("The quick brown fox jumps over the lazy dog.", 9, 11),
            ("1234567890", 4, 5),
            ("def f(x):\n    return x + 1\n", 9, 14),
        ] {
            assert!((least..=most).contains(&text(s)), "{s:?} {}", text(s));
        }
    }

    #[test]
    fn no_byte_is_free_for_long() {
        for byte in 0..=255_u8 {
            let mut e = Estimate::new(Family::O200k);
            e.text(&[byte; 60_000]);
            // Continuation bytes alone are no text: the parser refused them.
            let least = if (0x80..0xc2).contains(&byte) { 1 } else { 100 };
            assert!(e.total() >= least, "{byte:#x} {}", e.total());
        }
    }

    #[test]
    fn escaped_counts_like_plain() {
        let plain =
            "Zeile eins\n\tZwei \"zitiert\" \\ Ende: 漢字 für Sie 😀 and more words after it. ".repeat(90);
        let json = serde_json::to_string(&plain).unwrap();
        let ascii: String = plain.encode_utf16().fold(String::new(), |mut out, unit| {
            out.push_str(&format!("\\u{unit:04x}"));
            out
        });
        for raw in [&json[1..json.len() - 1], &ascii] {
            let mut e = Estimate::new(Family::Cl100k);
            e.json(raw.as_bytes());
            let mut p = Estimate::new(Family::Cl100k);
            p.text(plain.as_bytes());
            let (e, p) = (e.total(), p.total());
            assert!(e.abs_diff(p) * 500 <= p, "{e} {p}");
        }
        for broken in ["\\", "\\u", "\\u12", "\\ud83d", "\\uzzzz", "a\\"] {
            Estimate::new(Family::Cl100k).json(broken.as_bytes());
        }
    }

    #[test]
    fn masks_cross_blocks() {
        // The same text at each offset to the block has nearly the same count.
        let words = "international Organisation of camelCase 123456 and   spaces\n\n".repeat(20);
        let whole = text(&words);
        for pad in 1..64 {
            let moved = text(&format!("{}{words}", ".".repeat(pad)));
            assert!(moved.abs_diff(whole) <= 6, "{pad}: {moved} {whole}");
        }
    }

    #[test]
    fn a_sample_is_near_the_whole() {
        let mut long = String::new();
        let mut n = 7_u32;
        while long.len() < 1 << 20 {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            long.push_str(
                ["alpha ", "beta_gamma ", "42, ", "naïve ", "Internationalisation\n", "漢字"]
                    [(n >> 16) as usize % 6],
            );
        }
        let sampled = text(&long);
        let parts: u64 = long
            .as_bytes()
            .chunks(60_000)
            .map(|p| {
                let mut e = Estimate::new(Family::O200k);
                e.text(p);
                e.total()
            })
            .sum();
        assert!(sampled.abs_diff(parts) * 50 <= parts, "{sampled} {parts}");
    }

    #[test]
    fn families_by_name() {
        for (model, family) in [
            ("gpt-4o-mini", Family::O200k),
            ("gpt-4.1", Family::O200k),
            ("gpt-4-turbo", Family::Cl100k),
            ("o3-mini", Family::O200k),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Family::Claude),
            ("meta-llama/Llama-3.1-8B-Instruct", Family::Llama3),
            ("mistral-large-latest", Family::Llama2),
            ("openai/gpt-5-mini", Family::O200k),
            ("", Family::Cl100k),
        ] {
            assert_eq!(Family::of_model(model), family, "{model}");
        }
    }
}

/// Error by set, on the evaluation corpora where they are unpacked.
#[cfg(all(test, not(target_arch = "wasm32")))]
mod corpus {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    const TOKENIZERS: [(&str, Family); 5] = [
        ("o200k_base", Family::O200k),
        ("cl100k_base", Family::Cl100k),
        ("llama3", Family::Llama3),
        ("llama2", Family::Llama2),
        ("claude2_legacy", Family::Claude),
    ];

    fn corpora() -> Option<PathBuf> {
        let dir = std::env::var_os("PORTCULLIS_CORPORA")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/portcullis/corpora")))?;
        let file = dir.join("token_counts.jsonl");
        file.exists().then_some(file)
    }

    fn script(text: &str) -> &'static str {
        let n = text.chars().count().max(1);
        let share = |is: fn(char) -> bool| text.chars().filter(|&c| is(c)).count() * 100 / n;
        match () {
            () if share(|c| matches!(c, '\u{3040}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')) > 20 => "~CJK",
            () if share(|c| !c.is_ascii()) > 20 => "~other script",
            () => "~Latin",
        }
    }

    #[test]
    fn median_error_by_set() {
        let Some(file) = corpora() else {
            eprintln!("SKIPPED: no token_counts.jsonl; unpack the corpora or set PORTCULLIS_CORPORA");
            return;
        };
        let mut errors: BTreeMap<String, [Vec<f64>; 5]> = BTreeMap::new();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = row["text"].as_str().unwrap();
            for (at, (name, family)) in TOKENIZERS.into_iter().enumerate() {
                let Some(actual) = row["counts"][name].as_f64().filter(|&n| n > 0.0) else { continue };
                let mut estimate = Estimate::new(family);
                estimate.text(text.as_bytes());
                let error = (estimate.total() as f64 / actual - 1.0).abs();
                for set in [row["category"].as_str().unwrap(), script(text), "~all"] {
                    errors.entry(set.into()).or_default()[at].push(error);
                }
            }
        }
        eprintln!(
            "{:32}{:>5}{}",
            "median error in %",
            "rows",
            TOKENIZERS.map(|(n, _)| format!("{n:>16}")).concat()
        );
        for (set, columns) in &mut errors {
            let cells = columns.each_mut().map(|column| {
                column.sort_by(f64::total_cmp);
                format!("{:16.1}", 100.0 * column[column.len() / 2])
            });
            eprintln!("{set:32}{:>5}{}", columns[0].len(), cells.concat());
        }
        for set in ["~all", "~Latin", "~CJK"] {
            for column in &errors[set] {
                assert!(column[column.len() / 2] <= 0.15, "{set}");
            }
        }
    }
}
