//! Any JSON, with no schema at all: every string is text. For traffic that no
//! dialect recognises where configuration lets it pass, and never chosen by
//! path. Its id is `json`.

use super::edit::Edit;
use super::json::Doc;
use super::openai;
use super::reply;
use super::walk::Walk;
use super::{
    Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, WireError,
};
use crate::text::SpanKind;

/// See the module.
#[derive(Debug)]
pub(super) struct Generic;

impl Dialect for Generic {
    fn id(&self) -> &'static str {
        "json"
    }

    fn provider(&self) -> &'static str {
        "_OTHER"
    }

    fn operation(&self, _method: &str, _path: &str) -> Option<Operation> {
        None
    }

    fn request(&self, _op: Operation, _path: &str, doc: &Doc<'_>) -> Result<Request, WireError> {
        let mut request = Request { choices: 1, stream_usage: true, ..Request::default() };
        Walk::whole(doc).request(&mut request);
        Ok(request)
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        let mut response = Response::default();
        Walk::whole(doc).response(&mut response);
        Ok(response)
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        let ndjson =
            ["application/x-ndjson", "application/jsonl", "application/ndjson", "application/x-jsonlines"];
        if ndjson.iter().any(|media_type| reply::is_type(content_type, media_type)) {
            return Framing::Ndjson;
        }
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        let mut event = StreamEvent::default();
        let mut walk = Walk::event(doc);
        walk.rest(doc.root(), SpanKind::Other, 0);
        walk.stream_event(&mut event);
        Ok(event)
    }

    fn is_end_mark(&self, data: &[u8]) -> bool {
        openai::is_end_mark(data)
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        openai::refusal(refusal)
    }

    fn refusal_event(&self, framing: Framing, refusal: &Refusal) -> Vec<u8> {
        openai::refusal_event(framing, refusal)
    }

    fn edit_field(&self, _op: Operation, _doc: &Doc<'_>, _field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        None
    }
}
