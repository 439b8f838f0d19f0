//! Which calls need consent.

use super::GlobSet;

/// See the module.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Name of the service that is asked.
    pub service: String,
    /// Calls whose estimated cost is higher.
    pub cost_over_usd: Option<f64>,
    /// Tools and skills, as a deny list: what only looks like one of them, or
    /// differs in case, needs consent too.
    pub tools: GlobSet,
    /// The service sees arguments, masked.
    pub show_arguments: bool,
}

impl Approval {
    /// Whether a call of this tool, or this skill, needs consent. Tools of MCP
    /// servers go by `server/tool` as well.
    pub fn wants(&self, name: &str, server: &str) -> bool {
        !self.tools.permits(name)
            || !server.is_empty() && self.tools.denies(&[server, "/", name.trim()].concat())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tools_by_name_and_by_server() {
        let tools = GlobSet::new(Vec::new(), &["db.*".into(), "jira/delete_*".into()]).unwrap();
        let approval = Approval { service: "s".into(), cost_over_usd: None, tools, show_arguments: false };
        for (name, server, wants) in [
            ("db.drop", "", true),
            (" DB.Drop", "", true),
            ("\u{ff44}b.drop", "", true),
            ("", "", true),
            ("get", "", false),
            ("delete_issue", "jira", true),
            ("delete_issue", "wiki", false),
            ("delete_issue", "", false),
        ] {
            assert_eq!(approval.wants(name, server), wants, "{name:?} {server}");
        }
    }
}
