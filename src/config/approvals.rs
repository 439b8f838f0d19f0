//! Approval services, and which calls of a policy ask one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;
use super::resolve::{error, globs};
use super::written::OnFault;
use crate::approval::Service;
use crate::limits::MAX_APPROVAL_TIMEOUT_MS;
use crate::policy::{Approval, GlobSet};

/// Where to ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceWritten {
    /// Cluster of Envoy's configuration.
    pub cluster: String,
    /// Path of the POST.
    #[serde(default)]
    pub path: Option<String>,
    /// Its `:authority`; absent: the name of the cluster.
    #[serde(default)]
    pub authority: Option<String>,
    /// Wait so long for an answer.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// When it does not come.
    #[serde(default)]
    pub on_fault: OnFault,
}

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

pub(super) fn services(
    written: BTreeMap<String, ServiceWritten>,
) -> Result<BTreeMap<String, Service>, ConfigError> {
    let mut services = BTreeMap::new();
    for (name, written) in written {
        let at = |field: &str| format!("approvals.{name}.{field}");
        // They become headers, and a space ends a request line.
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let path = written.path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
        let authority = written.authority.unwrap_or_else(|| written.cluster.clone());
        let timeout = written.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        let timeout_ms = u32::try_from(timeout).ok().filter(|ms| (1..=MAX_APPROVAL_TIMEOUT_MS).contains(ms));
        if written.cluster.is_empty() {
            return Err(error(at("cluster"), "names no cluster"));
        }
        if !plain(&path) || !path.starts_with('/') {
            return Err(error(at("path"), "starts with `/` and is printable ASCII without spaces"));
        }
        if !plain(&authority) {
            return Err(error(at("authority"), "is printable ASCII without spaces"));
        }
        let Some(timeout_ms) = timeout_ms else {
            return Err(error(at("timeout_ms"), format!("must be from 1 to {MAX_APPROVAL_TIMEOUT_MS}")));
        };
        let open = written.on_fault == OnFault::Open;
        services.insert(name, Service { cluster: written.cluster, path, authority, timeout_ms, open });
    }
    Ok(services)
}

/// Of a policy: the service is one that there is.
pub(super) fn resolve(
    written: &ApprovalWritten,
    services: &BTreeMap<String, Service>,
    at: &str,
) -> Result<Approval, ConfigError> {
    if !services.contains_key(&written.service) {
        let known: Vec<_> = services.keys().map(String::as_str).collect();
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
