//! Questions to an approval service, as calls of Envoy's to a cluster.
//!
//! They belong to the plugin's root context, not to the stream's: Envoy drops
//! the calls of a stream that ends, but the SDK keeps a note of each until its
//! answer comes. Clients that hang up while they wait would fill the memory.

use std::time::Duration;

use super::hostcalls::{self, Buffer, Map};
use crate::limits::MAX_APPROVAL_REPLY;
use crate::session::Ask;

/// Start the call. False: there is no such cluster, or nobody in it.
pub(super) fn send(ask: &Ask, root: u32, stream: u32) -> bool {
    let headers = vec![
        (":method", "POST"),
        (":path", ask.path.as_str()),
        (":authority", ask.authority.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("idempotency-key", ask.id.as_str()),
    ];
    let timeout = Duration::from_millis(u64::from(ask.timeout_ms));
    // The callback that the SDK exports knows calls made through the SDK only,
    // and panics on others. What it panics on here is no status of Envoy's.
    hostcalls::act_for(root);
    let sent = proxy_wasm::hostcalls::dispatch_http_call(
        &ask.cluster,
        headers,
        Some(ask.body.as_bytes()),
        Vec::new(),
        timeout,
    );
    hostcalls::act_for(stream);
    sent.is_ok()
}

/// Status and body of the answer at hand; `None`: there is none, or too much.
pub(super) fn answer(size: usize, root: u32, stream: u32) -> Option<(u16, Vec<u8>)> {
    hostcalls::act_for(root);
    let headers = hostcalls::headers(Map::Call);
    let fits = size <= MAX_APPROVAL_REPLY;
    let body = if fits { hostcalls::buffer(Buffer::CallBody, size) } else { Vec::new() };
    hostcalls::act_for(stream);
    let status = headers.iter().find(|(k, _)| k == b":status")?;
    let status = std::str::from_utf8(&status.1).ok()?.parse().ok()?;
    (body.len() == size).then_some((status, body))
}
