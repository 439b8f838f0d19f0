//! Approval services, and which calls of a policy ask one.

use serde::Deserialize;
use serde_json::Value;

use super::ConfigError;
use super::fields::Fields;
use super::resolve::{error, globs};
use crate::approval::Service;
use crate::limits::MAX_APPROVAL_TIMEOUT_MS;
use crate::policy::{Approval, GlobSet};

/// Which calls need consent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalWritten {
    /// Name of the service.
    pub service: String,
    /// Calls whose estimated cost is higher.
    #[serde(default)]
    pub cost_over_usd: Option<f64>,
    /// Globs of tools and skills.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Show the arguments of these calls, masked.
    #[serde(default)]
    pub show_arguments: bool,
}

const DEFAULT_PATH: &str = "/v1/approvals";
const DEFAULT_TIMEOUT_MS: u64 = 1000;

pub(super) fn services(document: &Value) -> Result<Vec<(String, Service)>, ConfigError> {
    let mut services = Vec::new();
    let Some(all) = document.get("approvals") else { return Ok(services) };
    let all = all.as_object().ok_or_else(|| error("approvals", "must be an object"))?;
    for (name, written) in all {
        let at = ["approvals.", name].concat();
        let known = ["cluster", "path", "authority", "timeout_ms", "on_fault"];
        let fields = Fields::of(Some(written), at, &known)?;
        // They become headers, and a space ends a request line.
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let cluster = fields.text("cluster")?.unwrap_or_default();
        let path = fields.text("path")?.unwrap_or(DEFAULT_PATH);
        let authority = fields.text("authority")?.unwrap_or(cluster);
        let most = u64::from(MAX_APPROVAL_TIMEOUT_MS);
        let timeout = fields.count("timeout_ms", DEFAULT_TIMEOUT_MS, (1, most))?;
        if cluster.is_empty() {
            return Err(error(fields.path("cluster"), "names no cluster"));
        }
        if !plain(path) || !path.starts_with('/') {
            return Err(error(fields.path("path"), "starts with `/` and is printable ASCII without spaces"));
        }
        if !plain(authority) {
            return Err(error(fields.path("authority"), "is printable ASCII without spaces"));
        }
        let open = match fields.text("on_fault")? {
            None | Some("closed") => false,
            Some("open") => true,
            Some(_) => return Err(error(fields.path("on_fault"), "must be `closed` or `open`")),
        };
        let service = Service {
            cluster: cluster.to_owned(),
            path: path.to_owned(),
            authority: authority.to_owned(),
            timeout_ms: u32::try_from(timeout).unwrap_or(MAX_APPROVAL_TIMEOUT_MS),
            open,
        };
        services.push((name.clone(), service));
    }
    Ok(services)
}

/// Of a policy: the service is one that there is.
pub(super) fn resolve(
    written: &ApprovalWritten,
    services: &[(String, Service)],
    at: &str,
) -> Result<Approval, ConfigError> {
    if !services.iter().any(|(name, _)| *name == written.service) {
        let known: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(error(
            format!("{at}.approval.service"),
            format!("no service \"{}\" in approvals; there are {known}", written.service),
        ));
    }
    if written.cost_over_usd.is_some_and(|usd| !(usd >= 0.0 && usd.is_finite())) {
        return Err(error(format!("{at}.approval.cost_over_usd"), "must not be negative"));
    }
    let tools = format!("{at}.approval.tools");
    globs(&written.tools, &tools)?;
    Ok(Approval {
        service: written.service.clone(),
        cost_over_usd: written.cost_over_usd,
        tools: GlobSet::new(Vec::new(), &written.tools).map_err(|e| error(tools, e.0))?,
        show_arguments: written.show_arguments,
    })
}
