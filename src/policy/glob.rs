//! Name patterns of operators: `*` for any run of characters, `?` for one.

use wildmatch::WildMatch;

/// A checked pattern.
#[derive(Clone, Debug)]
pub struct Glob(WildMatch);

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadGlob(pub &'static str);

impl Glob {
    /// Patterns that would silently match nothing are refused: operators who
    /// write `[a-z]` or `{a,b}` expect a syntax that is not there.
    pub fn new(pattern: &str) -> Result<Self, BadGlob> {
        if pattern.is_empty() {
            return Err(BadGlob("is empty; write \"*\" for everything"));
        }
        if pattern.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadGlob("has white space or control characters"));
        }
        if pattern.contains(['[', ']', '{', '}', '\\', '^', '$', '|']) {
            return Err(BadGlob("only `*` and `?` are special in a glob"));
        }
        Ok(Glob(WildMatch::new(pattern)))
    }

    /// Whether all of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

/// An allow list and a deny list. Deny wins; an empty allow list allows all.
#[derive(Clone, Debug, Default)]
pub struct GlobSet {
    allow: Vec<Glob>,
    // Lower-case: a deny list that "GPT-4o" walks around is no deny list,
    // whereas an allow list is safer the more exact it is.
    deny: Vec<Glob>,
}

impl GlobSet {
    /// Deny patterns are compared without regard to case.
    pub fn new(allow: Vec<Glob>, deny: &[String]) -> Result<Self, BadGlob> {
        let deny = deny.iter().map(|p| Glob::new(&p.to_lowercase())).collect::<Result<_, _>>()?;
        Ok(GlobSet { allow, deny })
    }

    /// Whether the name may be used.
    ///
    /// A deny list cannot vouch for a name that is empty or only looks like
    /// another: one with characters outside printable ASCII is denied as soon
    /// as anything is. White space around it, which some servers trim, does not
    /// count.
    pub fn permits(&self, name: &str) -> bool {
        let odd = name.trim().is_empty() || !name.trim().bytes().all(|b| (b' '..0x7f).contains(&b));
        let denied = self.denies(name) || (odd && !self.deny.is_empty());
        !denied && (self.allow.is_empty() || self.allow.iter().any(|g| g.matches(name)))
    }

    /// Whether the deny list names it.
    pub fn denies(&self, name: &str) -> bool {
        let lower = name.trim().to_lowercase();
        self.deny.iter().any(|g| g.matches(&lower))
    }

    /// Neither list says anything.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(allow: &[&str], deny: &[&str]) -> GlobSet {
        let allow = allow.iter().map(|p| Glob::new(p).unwrap()).collect();
        GlobSet::new(allow, &deny.iter().map(|s| s.to_string()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn allow_and_deny() {
        for (allow, deny, name, permitted) in [
            (&["gpt-4o*"][..], &[][..], "gpt-4o-mini", true),
            (&["gpt-4o*"], &[], "GPT-4o-mini", false),
            (&["gpt-4o*"], &[], "x-gpt-4o", false),
            (&["gpt-4o*"], &["*-uncensored"], "gpt-4o-uncensored", false),
            (&[], &["*-uncensored"], "llama-Uncensored", false),
            (&[], &["*-uncensored"], "llama", true),
            (&["*"], &[], "anything", true),
            (&["a?c"], &[], "abc", true),
            (&["a?c"], &[], "ac", false),
            (&[], &["gpt-4o"], " gpt-4o\t", false),
            (&[], &["gpt-4o"], "gpt-4\u{43e}", false),
            (&["*"], &["x"], "gpt\u{200b}-4o", false),
            (&[], &["x"], "", false),
            (&["caf\u{e9}"], &[], "caf\u{e9}", true),
        ] {
            assert_eq!(set(allow, deny).permits(name), permitted, "{allow:?} {deny:?} {name}");
        }
    }

    #[test]
    fn patterns_of_other_syntaxes_are_refused() {
        for bad in ["", "gpt-[34]", "{a,b}", "a b", "^gpt", "a|b"] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }
}
