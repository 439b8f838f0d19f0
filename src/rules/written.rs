//! The rule file as written. `rules/README.md` explains it to authors.

use serde::Deserialize;

/// One file of `rules/packs/`, or the `custom` list of a configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a pack: the object itself, not the name of its file")]
pub struct Pack {
    /// Version of the file format: 1.
    pub format: u32,
    /// Name of the pack: the file's name.
    pub pack: String,
    /// What findings of this pack are, to policy.
    pub category: Category,
    /// One line on what the pack is for.
    pub title: String,
    /// The rules, in id order.
    pub rules: Vec<Rule>,
}

/// What a finding is about: policies choose an action for each category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Prompt injection and jailbreaks.
    Injection,
    /// Personal data.
    Pii,
    /// Credentials.
    Secrets,
    /// Data carried out by links, images and callbacks.
    Exfiltration,
    /// Code that destroys, or downloads and runs.
    Code,
}

/// How much harm a true finding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `category.what.variant`: lower case, dots and dashes, stable for ever.
    pub id: String,
    /// For people: what it finds.
    #[serde(default)]
    pub title: String,
    /// Version of Portcullis that has it first.
    #[serde(default)]
    pub since: String,
    /// 1: safe everywhere. 2: default. 3: strict. 4: paranoid.
    pub level: u8,
    /// Harm of a true finding.
    pub severity: Severity,
    /// Where it looks: `request`, `response`, or a span kind (`tool.result`),
    /// or both joined: `request:user`. Empty: everywhere.
    #[serde(default)]
    pub scan: Vec<String>,
    /// Which view of the text it is matched on. Default `both`.
    #[serde(default)]
    pub view: TextView,
    /// Where a match can start, where the pattern has no literal prefix.
    #[serde(default)]
    pub anchor: Option<Anchor>,
    /// The regular expression, joined if it is a list. Bytes-oriented: `.`,
    /// `\w`, `\d`, `\s` and `\b` are ASCII. A capture group at the top marks the
    /// part that is the match; without one, all of it is. The longest match
    /// wins, and the group takes as much of it as it can. No look-around but
    /// `\b`, `^`, `$`.
    pub pattern: Pattern,
    /// Longest match in bytes, with what the pattern reads before and after its
    /// group; bounds what a stream holds back.
    pub max_len: usize,
    /// Checks on the match that all must hold: `luhn`, `mod97`, `entropy>=3.5`.
    #[serde(default)]
    pub check: Vec<String>,
    /// Words near the match.
    #[serde(default)]
    pub context: Option<Context>,
    /// A match counts only where the injection classifier finds the text
    /// suspect: what it matches is quoted, too, by those who write about it.
    #[serde(default)]
    pub needs_support: bool,
    /// What stands in place of a redacted match: `[OPENAI-KEY]`.
    pub replace: String,
    /// Why a finding matters. Authors must say; the filter's copy of the packs
    /// carries neither this nor the tests.
    #[serde(default)]
    pub why: String,
    /// Where format and checksum come from.
    #[serde(default)]
    pub references: Vec<String>,
    /// Ids of rules of the same pack that may match a `hit` of this one too.
    #[serde(default)]
    pub also: Vec<String>,
    /// What it must and must not find.
    #[serde(default)]
    pub tests: RuleTests,
}

/// A pattern, possibly cut into lines for reading.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Pattern {
    One(String),
    Joined(Vec<String>),
}

/// Which view of a text a rule sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextView {
    /// As written: credentials, whose letters' case matters.
    Raw,
    /// Cleaned and lower-cased only.
    Clean,
    /// Raw first, then cleaned where cleaning changed something.
    #[default]
    Both,
}

/// Where a match of a pattern without a literal prefix can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// At a digit (or a `+` or `(` before it) that no letter or digit precedes.
    Digit,
    /// At the start of the token that holds an `@`.
    At,
    /// At up to four hexadecimal digits, or none, before the first colon of a
    /// run of such groups.
    Colon,
    /// At one to three letters with a digit soon after them: `PR 12`, `B-AB 1`.
    Letters,
    /// At the start of a token of letters and digits that holds both.
    Mixed,
    /// At the start of a long token of high entropy.
    Entropy,
}

/// Words that must, or must not, stand before a match. ASCII case is ignored;
/// a word that starts or ends with a letter or digit is found as a whole word.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Lower-case words or phrases, one of which must stand before the match.
    #[serde(default)]
    pub words: Vec<String>,
    /// Lower-case words or phrases, none of which may stand before the match.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// How many bytes before the match they may stand.
    pub within: usize,
    /// A match that is the whole text needs none of `words`: the value of a
    /// field, whose name the engine does not see.
    #[serde(default)]
    pub alone: bool,
}

/// Tests of a rule. `«` and `»` mark each expected match inside a `hit`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTests {
    /// Texts with marked matches; two at least.
    pub hit: Vec<String>,
    /// Texts without; two at least.
    pub clean: Vec<String>,
    /// Texts it should find and does not yet. One that starts to match fails
    /// the test, and asks to be promoted to `hit`.
    #[serde(default)]
    pub known_miss: Vec<Surprise>,
    /// Texts it finds and should not.
    #[serde(default)]
    pub known_hit: Vec<Surprise>,
}

/// A text with the reason why the rule is wrong about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Surprise {
    pub text: String,
    pub why: String,
}
