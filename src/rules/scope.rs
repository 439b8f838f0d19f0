//! Where a rule looks: which kinds of span, in which direction.

use crate::text::SpanKind;

/// Towards the model, or back from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the model or server.
    Request,
    /// From the model or server to the client.
    Response,
}

const KINDS: [SpanKind; 10] = [
    SpanKind::System,
    SpanKind::User,
    SpanKind::Assistant,
    SpanKind::Reasoning,
    SpanKind::ToolDefinition,
    SpanKind::ToolArguments,
    SpanKind::ToolResult,
    SpanKind::Document,
    SpanKind::Mcp,
    SpanKind::Other,
];

/// A set of (direction, span kind) pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope(u32);

impl Scope {
    /// Everywhere.
    pub const ALL: Scope = Scope(u32::MAX);
    /// Nowhere.
    pub const NONE: Scope = Scope(0);

    /// Wherever one of both is.
    #[must_use]
    pub const fn or(self, other: Scope) -> Scope {
        Scope(self.0 | other.0)
    }

    /// Reads the `scan` list of a rule; the error is the item that is unknown.
    pub fn parse(items: &[String]) -> Result<Scope, String> {
        if items.is_empty() {
            return Ok(Scope::ALL);
        }
        items.iter().try_fold(Scope(0), |all, item| {
            let one = Scope::parse_item(item).ok_or_else(|| item.clone())?;
            Ok(Scope(all.0 | one.0))
        })
    }

    fn parse_item(item: &str) -> Option<Scope> {
        let (direction, kind) = match item.split_once(':') {
            Some((direction, kind)) => (Some(direction), Some(kind)),
            None if item == "request" || item == "response" => (Some(item), None),
            None => (None, Some(item)),
        };
        let directions = match direction {
            None => vec![Direction::Request, Direction::Response],
            Some("request") => vec![Direction::Request],
            Some("response") => vec![Direction::Response],
            Some(_) => return None,
        };
        let kinds: Vec<SpanKind> =
            KINDS.into_iter().filter(|k| kind.is_none_or(|name| name == k.as_str())).collect();
        if kinds.is_empty() {
            return None;
        }
        let bits = directions.iter().flat_map(|d| kinds.iter().map(|k| Scope::bit(*d, *k)));
        Some(Scope(bits.fold(0, |all, bit| all | bit)))
    }

    /// Names of the kinds of span, as `scan` takes them.
    pub fn kinds() -> [&'static str; 10] {
        KINDS.map(SpanKind::as_str)
    }

    /// Every pair there is; requests of users first, as the most usual place.
    pub fn places() -> impl Iterator<Item = (Direction, SpanKind)> {
        let first = (Direction::Request, SpanKind::User);
        let all = [Direction::Request, Direction::Response].into_iter().flat_map(|d| KINDS.map(|k| (d, k)));
        std::iter::once(first).chain(all)
    }

    /// Whether a rule of this scope looks at spans of `kind`.
    pub const fn contains(self, direction: Direction, kind: SpanKind) -> bool {
        self.0 & Scope::bit(direction, kind) != 0
    }

    const fn bit(direction: Direction, kind: SpanKind) -> u32 {
        let side = match direction {
            Direction::Request => 0,
            Direction::Response => 16,
        };
        1 << (side + kind as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_lists() {
        let scope = |items: &[&str]| Scope::parse(&items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        for (items, direction, kind, want) in [
            (&[][..], Direction::Request, SpanKind::User, true),
            (&["request"], Direction::Request, SpanKind::Mcp, true),
            (&["request"], Direction::Response, SpanKind::Mcp, false),
            (&["tool.result"], Direction::Response, SpanKind::ToolResult, true),
            (&["tool.result"], Direction::Response, SpanKind::User, false),
            (&["request:user", "response:assistant"], Direction::Request, SpanKind::User, true),
            (&["request:user", "response:assistant"], Direction::Response, SpanKind::Assistant, true),
            (&["request:user", "response:assistant"], Direction::Response, SpanKind::User, false),
        ] {
            assert_eq!(scope(items).map(|s| s.contains(direction, kind)), Ok(want), "{items:?}");
        }
        for bad in ["", "requests", "request:", "user:request", "tool"] {
            assert_eq!(scope(&[bad]), Err(bad.to_owned()));
        }
    }
}
