//! OpenAI's list of models, which Anthropic serves under the same path.

use super::edit::Edit;
use super::json::Doc;
use super::path::Path;
use super::{
    Dialect, FieldEdit, Framing, Operation, Refusal, Reply, Request, Response, StreamEvent, WireError,
};
use super::{model_list, openai};

/// See the module.
#[derive(Debug)]
pub(super) struct OpenAiModels;

impl Dialect for OpenAiModels {
    fn id(&self) -> &'static str {
        "openai_models"
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        (method == "GET" && Path::parse(path)?.is_api(&["models"])).then_some(Operation::ListModels)
    }

    fn request(&self, _op: Operation, _path: &str, _doc: &Doc<'_>) -> Result<Request, WireError> {
        Err(WireError { what: "body: a list of models is asked for without one" })
    }

    fn response(&self, _op: Operation, doc: &Doc<'_>) -> Result<Response, WireError> {
        Ok(model_list::response(doc))
    }

    fn framing(&self, _op: Operation, content_type: &str) -> Framing {
        openai::framing(content_type)
    }

    fn event(&self, _op: Operation, _name: &str, _doc: &Doc<'_>) -> Result<StreamEvent, WireError> {
        Err(WireError { what: "stream: a list of models is none" })
    }

    fn refusal(&self, refusal: &Refusal) -> Reply {
        openai::refusal(refusal)
    }

    fn refusal_event(&self, _framing: Framing, _refusal: &Refusal) -> Vec<u8> {
        Vec::new()
    }

    fn edit_field(&self, _op: Operation, _doc: &Doc<'_>, _field: FieldEdit<'_>) -> Option<Vec<Edit>> {
        None
    }
}
