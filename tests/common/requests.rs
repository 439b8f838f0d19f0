//! A request of each dialect, with an address in its text, for suites about
//! what comes back.
#![allow(dead_code)]

use serde_json::json;

/// A request that the dialect takes, streamed where the body says so.
pub(crate) fn request_for(dialect: &str) -> String {
    let said = "mail jane.doe@example.com";
    let turn = json!([{ "role": "user", "content": said }]);
    match dialect {
        "a2a" => json!({ "jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": { "message": {
            "role": "user", "kind": "message", "messageId": "m", "parts": [{ "kind": "text", "text": said }] } } }),
        "mcp" => json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "t", "arguments": { "q": said } } }),
        "gemini" | "vertex" => json!({ "contents": [{ "role": "user", "parts": [{ "text": said }] }] }),
        "bedrock_converse" => json!({ "messages": [{ "role": "user", "content": [{ "text": said }] }] }),
        "bedrock_invoke" | "vertex_anthropic" => {
            json!({ "anthropic_version": "v", "max_tokens": 9, "messages": turn, "stream": true })
        }
        "openai_completions" => json!({ "model": "m", "prompt": said, "stream": true }),
        "openai_responses" | "gemini_interactions" => json!({ "model": "m", "input": said, "stream": true }),
        "openai_embeddings" | "openai_moderations" => json!({ "model": "m", "input": said }),
        "openai_images" => json!({ "model": "m", "prompt": said }),
        "cohere_v1" => json!({ "model": "m", "message": said, "stream": true }),
        _ => json!({ "model": "m", "max_tokens": 9, "messages": turn, "stream": true }),
    }
    .to_string()
}
