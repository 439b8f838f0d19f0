//! Calls to the host, every status a value.
//!
//! The SDK's own wrappers panic on a status they do not expect and on header
//! values that are not UTF-8; one panic kills the VM and every stream in it
//! (proxy-wasm-rust-sdk issues 25, 217, 263, 328). So the ABI is bound here
//! once more, version 0.2.1: <https://github.com/proxy-wasm/spec>.
#![allow(unsafe_code)]

use std::ptr::null_mut;

/// Status 0 of the ABI.
const OK: u32 = 0;
/// Status 8: the value under the key is another one by now.
const CAS_MISMATCH: u32 = 8;

/// The call failed with this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u32);

/// Buffers of the ABI.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallBody = 4,
    PluginConfiguration = 7,
}

/// Header maps of the ABI.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    Request = 0,
    Response = 2,
    Call = 6,
}

/// Directions of a stream.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Side {
    Request = 0,
    Response = 1,
}

/// Levels of the ABI.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Level {
    Info = 2,
    Error = 4,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, len: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(buffer: u32, start: usize, size: usize, data: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, len: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_len: usize, data: *const u8, len: usize, cas: u32) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_continue_stream(side: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        arguments: *const u8,
        arguments_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
}

fn check(status: u32) -> Result<(), Status> {
    if status == OK { Ok(()) } else { Err(Status(status)) }
}

/// Bytes the host allocated in our memory. Null: there are none.
fn adopt(data: *mut u8, len: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: the host allocates through the `proxy_on_memory_allocate` that
    // the SDK exports, which is a `Vec<u8>` of that capacity, leaked; the host
    // keeps no reference to it.
    unsafe { Vec::from_raw_parts(data, len, len) }
}

pub(super) fn log(level: Level, message: &str) {
    // SAFETY: pointer and length are those of a live string.
    let _ = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Unix time in nanoseconds.
pub(super) fn now_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes one u64.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
    time
}

/// Bytes of a buffer; empty if there are none.
pub(super) fn buffer(buffer: Buffer, max: usize) -> Vec<u8> {
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the host writes one pointer and one length.
    let status = unsafe { proxy_get_buffer_bytes(buffer as u32, 0, max, &mut data, &mut len) };
    let bytes = adopt(data, len);
    if status == OK { bytes } else { Vec::new() }
}

/// Replace the first `size` bytes of a buffer.
pub(super) fn set_buffer(buffer: Buffer, size: usize, with: &[u8]) -> Result<(), Status> {
    // SAFETY: pointer and length are those of a live slice.
    check(unsafe { proxy_set_buffer_bytes(buffer as u32, 0, size, with.as_ptr(), with.len()) })
}

/// All headers, repeated ones apart, values as bytes.
pub(super) fn headers(map: Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the host writes one pointer and one length.
    let _ = unsafe { proxy_get_header_map_pairs(map as u32, &mut data, &mut len) };
    let bytes = adopt(data, len);
    let pairs = crate::policy::split_pairs(&bytes).unwrap_or_default();
    pairs.into_iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
}

pub(super) fn set_header(map: Map, name: &str, value: &str) -> Result<(), Status> {
    // SAFETY: pointers and lengths are those of live strings.
    check(unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(super) fn remove_header(map: Map, name: &str) -> Result<(), Status> {
    // SAFETY: pointer and length are those of a live string.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// An attribute of Envoy; `None` if it is not there.
pub(super) fn property(path: &[String]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the path is live; the host writes one pointer and one length.
    let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut len) };
    let bytes = adopt(data, len);
    (status == OK).then_some(bytes)
}

/// Set the filter state `wasm.<name>`.
pub(super) fn set_property(name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: pointers and lengths are those of live slices.
    check(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Answer the request here. `details` shows in `%RESPONSE_CODE_DETAILS%`.
pub(super) fn reply(status: u16, details: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(), Status> {
    let pairs = join_pairs(headers);
    // SAFETY: pointers and lengths are those of live slices.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            pairs.as_ptr(),
            pairs.len(),
            -1,
        )
    })
}

/// Let the calls that follow be those of another context of this VM.
pub(super) fn act_for(context: u32) {
    // SAFETY: a number only.
    let _ = unsafe { proxy_set_effective_context(context) };
}

/// Let a held request or response go on.
pub(super) fn resume(side: Side) -> Result<(), Status> {
    // SAFETY: a number only.
    check(unsafe { proxy_continue_stream(side as u32) })
}

/// The pairs format of the ABI; the reverse is `policy::split_pairs`.
fn join_pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let word =
        |out: &mut Vec<u8>, n: usize| out.extend_from_slice(&u32::try_from(n).unwrap_or(0).to_le_bytes());
    word(&mut out, pairs.len());
    for (k, v) in pairs {
        word(&mut out, k.len());
        word(&mut out, v.len());
    }
    for (k, v) in pairs {
        for part in [k, v] {
            out.extend_from_slice(part.as_bytes());
            out.push(0);
        }
    }
    out
}

/// A shared value and its version; `None` if there is none yet.
pub(super) fn shared(key: &str) -> Option<(Vec<u8>, u32)> {
    let (mut data, mut len, mut cas) = (null_mut(), 0, 0);
    // SAFETY: the key is live; the host writes a pointer, a length, a version.
    let status = unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut len, &mut cas) };
    let bytes = adopt(data, len);
    (status == OK).then_some((bytes, cas))
}

/// Set a shared value if its version is still `cas`. `Ok(false)`: it is not.
pub(super) fn set_shared(key: &str, value: &[u8], cas: u32) -> Result<bool, Status> {
    // SAFETY: pointers and lengths are those of live slices.
    match unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) } {
        OK => Ok(true),
        CAS_MISMATCH => Ok(false),
        status => Err(Status(status)),
    }
}

/// Define a counter and return its id.
pub(super) fn define_counter(name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: the name is live; the host writes one id.
    check(unsafe { proxy_define_metric(0, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

pub(super) fn count(id: u32, by: u64) {
    // The host refuses zero, and values over i64.
    if let (1.., Ok(by)) = (by, i64::try_from(by)) {
        // SAFETY: numbers only.
        let _ = unsafe { proxy_increment_metric(id, by) };
    }
}

/// Choose the route again.
pub(super) fn clear_route_cache() -> Result<(), Status> {
    let name = "clear_route_cache";
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the name is live, there are no arguments; the host may write a
    // pointer and a length.
    let status =
        unsafe { proxy_call_foreign_function(name.as_ptr(), name.len(), null_mut(), 0, &mut data, &mut len) };
    drop(adopt(data, len));
    check(status)
}
