//! What the service says. It is the operator's own, but what it says decides:
//! all that is not an answer in this very form counts as none.

use crate::limits::{MAX_APPROVAL_REASON, MAX_APPROVAL_REPLY};
use crate::wire::json::{Doc, Kind};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of the call.
    pub decision: Decision,
    /// For the caller; printable.
    pub reason: Option<String>,
}

/// See [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Decision {
    Allow,
    Deny,
    /// Nobody has decided yet.
    Pending,
}

/// Read the answer to the question `id`; `None`: it is no answer to it.
pub fn read(status: u16, body: &[u8], id: &str) -> Option<Answer> {
    if !(200..300).contains(&status) || body.len() > MAX_APPROVAL_REPLY {
        return None;
    }
    let doc = Doc::parse(body).ok()?;
    let root = doc.root();
    let decision = match &*doc.str(doc.get(root, "decision")?)? {
        "allow" => Decision::Allow,
        "deny" => Decision::Deny,
        "pending" => Decision::Pending,
        _ => return None,
    };
    // A cache in between, or a service that mixes answers up.
    if *doc.str(doc.get(root, "id")?)? != *id {
        return None;
    }
    let reason = match doc.get(root, "reason").filter(|&r| doc.kind(r) != Kind::Null) {
        Some(text) => Some(doc.str(text)?.chars().filter(shows).take(MAX_APPROVAL_REASON).collect()),
        None => None,
    };
    Some(Answer { decision, reason })
}

/// No control characters, nor those that turn or hide text.
fn shows(c: &char) -> bool {
    *c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_in_this_form_is_one() {
        let said =
            |decision, reason: Option<&str>| Some(Answer { decision, reason: reason.map(str::to_owned) });
        for (status, body, answer) in [
            (200, r#"{"id":"i","decision":"allow"}"#, said(Decision::Allow, None)),
            (201, r#"{"id":"i","decision":"pending","reason":null,"by":"x"}"#, said(Decision::Pending, None)),
            (
                200,
                r#"{"id":"i","decision":"deny","reason":"no\n\u202eway"}"#,
                said(Decision::Deny, Some("noway")),
            ),
            (200, r#"{"id":"j","decision":"allow"}"#, None),
            (200, r#"{"decision":"allow"}"#, None),
            (200, r#"{"id":"i","decision":"Allow"}"#, None),
            (200, r#"{"id":"i","decision":"allow","decision":"allow"}"#, None),
            (200, r#"{"id":"i","decision":["allow"]}"#, None),
            (200, r#"{"id":"i","decision":"deny","reason":7}"#, None),
            (200, r#"["allow"]"#, None),
            (200, "allow", None),
            (200, "", None),
            (302, r#"{"id":"i","decision":"allow"}"#, None),
            (404, r#"{"id":"i","decision":"allow"}"#, None),
            (504, r#"{"id":"i","decision":"allow"}"#, None),
        ] {
            assert_eq!(read(status, body.as_bytes(), "i"), answer, "{status} {body}");
        }
        let long = format!(r#"{{"id":"i","decision":"deny","reason":"{}"}}"#, "é".repeat(1000));
        let reason = read(200, long.as_bytes(), "i").and_then(|a| a.reason).unwrap_or_default();
        assert_eq!(reason.chars().count(), MAX_APPROVAL_REASON);
        let huge = format!(r#"{{"id":"i","decision":"allow"{}}}"#, " ".repeat(MAX_APPROVAL_REPLY));
        assert_eq!(read(200, huge.as_bytes(), "i"), None);
    }
}
