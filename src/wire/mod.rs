//! Bytes of a body or of a stream, to and from spans of text.
//!
//! One file per dialect, named by its id, and one per framing. A dialect reads
//! a parsed document and says what is where; it never edits bytes itself and
//! never sees policy. Adding a dialect is adding a file and a line in
//! `recognise.rs`.

mod a2a;
mod anthropic;
mod anthropic_block;
mod azure_openai;
mod bedrock_block;
mod bedrock_converse;
mod bedrock_invoke;
mod claims;
mod cohere;
mod cohere_v1;
pub mod edit;
pub mod eventstream;
mod fields;
mod framing;
mod gemini;
mod gemini_content;
mod gemini_interactions;
mod generic;
pub mod json;
mod jsonarray;
mod jsonrpc;
mod mcp;
mod mcp_message;
mod media;
mod model_list;
mod name;
mod ndjson;
mod ollama;
mod openai;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_images;
mod openai_item;
mod openai_message;
mod openai_models;
mod openai_moderations;
mod openai_responses;
mod path;
mod read;
mod recognise;
mod refusal;
mod reply;
mod sse;
mod vertex;
mod view;
mod walk;

pub use claims::{Claims, Found, SkipReason, Skips, is_token};
pub use framing::{Frame, FrameError, Framer};
pub use mcp::server as mcp_server;
pub use name::is_plain as is_plain_name;
pub use recognise::{by_body, by_id, by_route, ids, recognise, recognise_for};
pub use refusal::{Reason, Refusal, Reply};
pub use reply::plain_refusal;
pub use sse::lines_beside;
pub use view::{
    Channel, Dialect, Field, FieldEdit, Framing, Operation, Piece, Request, Response, RpcCall, StreamEvent,
    ToolCall, Usage, WireError,
};
