//! Which dialect speaks at a path.

use super::a2a::{self, A2a};
use super::anthropic::Anthropic;
use super::azure_openai::AzureOpenAi;
use super::bedrock_converse::BedrockConverse;
use super::bedrock_invoke::BedrockInvoke;
use super::cohere::Cohere;
use super::cohere_v1::CohereV1;
use super::gemini::Gemini;
use super::gemini_interactions::GeminiInteractions;
use super::generic::Generic;
use super::json::{Doc, Kind};
use super::mcp::Mcp;
use super::ollama::Ollama;
use super::openai_chat::OpenAiChat;
use super::openai_completions::OPENAI_COMPLETIONS;
use super::openai_embeddings::OPENAI_EMBEDDINGS;
use super::openai_images::OPENAI_IMAGES;
use super::openai_models::OpenAiModels;
use super::openai_moderations::OPENAI_MODERATIONS;
use super::openai_responses::OpenAiResponses;
use super::read;
use super::vertex::Vertex;
use super::{Dialect, Operation};

/// Every dialect, the more particular first.
static DIALECTS: &[&dyn Dialect] = &[
    &OpenAiChat,
    &AzureOpenAi,
    &OpenAiResponses,
    &OPENAI_COMPLETIONS,
    &OPENAI_EMBEDDINGS,
    &OPENAI_MODERATIONS,
    &OPENAI_IMAGES,
    &Anthropic,
    &Vertex::Google,
    &Vertex::Anthropic,
    &Vertex::Mistral,
    &Gemini,
    &GeminiInteractions,
    &BedrockConverse,
    &BedrockInvoke,
    &Cohere,
    &CohereV1,
    &Ollama,
    &Mcp,
    &A2a,
    &OpenAiModels,
    &Generic,
];

/// The dialect of a request by method and path (without query). `None`: not
/// recognised, or a path that two servers could read in two ways; such a
/// request is refused unless the configuration says otherwise.
pub fn recognise(method: &str, path: &str) -> Option<(&'static dyn Dialect, Operation)> {
    DIALECTS.iter().find_map(|dialect| Some((*dialect, dialect.operation(method, path)?)))
}

/// Like [`recognise`], for a request that has the header `anthropic-version`:
/// the one thing that tells Anthropic's list of models from OpenAI's.
pub fn recognise_for(
    method: &str,
    path: &str,
    anthropic_version: bool,
) -> Option<(&'static dyn Dialect, Operation)> {
    match recognise(method, path)? {
        (_, Operation::ListModels) if anthropic_version => Some((&Anthropic, Operation::ListModels)),
        found => Some(found),
    }
}

/// The dialect that a route names, whatever its path. Where the path is of no
/// use to the dialect either, the operation is the one its requests have by
/// default. `None`: there is no such dialect, or it needs the path for the
/// model or for whether the answer is a stream.
pub fn by_route(id: &str, method: &str, path: &str) -> Option<(&'static dyn Dialect, Operation)> {
    let dialect = by_id(id)?;
    let by_default = || match (id, method) {
        ("mcp", "DELETE") => Some(Operation::Metadata),
        ("mcp", "GET" | "POST") => Some(Operation::Mcp),
        ("a2a", "POST") => Some(Operation::A2a),
        ("openai_models", "GET") => Some(Operation::ListModels),
        (
            "openai_chat" | "openai_responses" | "gemini_interactions" | "anthropic" | "cohere" | "cohere_v1",
            "POST",
        ) => Some(Operation::Chat),
        ("openai_completions", "POST") => Some(Operation::TextCompletion),
        ("openai_embeddings", "POST") => Some(Operation::Embeddings),
        ("openai_moderations", "POST") => Some(Operation::Moderation),
        ("openai_images", "POST") => Some(Operation::Image),
        ("json", "POST") => Some(Operation::Other),
        _ => None,
    };
    Some((dialect, dialect.operation(method, path).or_else(by_default)?))
}

/// The dialect of a POST whose path tells nothing: JSON-RPC by its method.
pub fn by_body(doc: &Doc<'_>) -> Option<(&'static dyn Dialect, Operation)> {
    let root = doc.root();
    let first = if doc.kind(root) == Kind::Array { doc.items(root).next()? } else { root };
    let method = read::word(doc, first, "method");
    if read::word(doc, first, "jsonrpc") != "2.0" || method.is_empty() {
        return None;
    }
    Some(if a2a::is_method(&method) { (&A2a, Operation::A2a) } else { (&Mcp, Operation::Mcp) })
}

/// A dialect by its id, for routes that name theirs.
pub fn by_id(id: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().find(|dialect| dialect.id() == id).copied()
}

/// The ids of all dialects, for configuration errors.
pub fn ids() -> impl Iterator<Item = &'static str> {
    DIALECTS.iter().map(|dialect| dialect.id())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Method, path, dialect and operation; `-` where nothing is recognised.
    const CASES: &str = include_str!("../../tests/fixtures/wire/paths.txt");

    #[test]
    fn paths_are_recognised_as_the_table_says() {
        for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let (method, path, want) =
                (words.next().unwrap(), words.next().unwrap(), words.collect::<Vec<_>>());
            let got = recognise(method, path);
            let got = got.map_or(vec!["-"], |(dialect, op)| vec![dialect.id(), op.as_str()]);
            assert_eq!(got, want, "{method} {path}");
        }
    }

    #[test]
    fn a_route_names_its_dialect() {
        let named = |id, method, path| by_route(id, method, path).map(|(d, op)| (d.id(), op.as_str()));
        assert_eq!(named("openai_chat", "POST", "/llm/ask"), Some(("openai_chat", "chat")));
        assert_eq!(named("mcp", "GET", "/tools"), Some(("mcp", "mcp")));
        assert_eq!(named("json", "POST", "/v1/chat/completions"), Some(("json", "other")));
        // The model and the stream stand in the path.
        assert_eq!(named("gemini", "POST", "/llm/ask"), None);
        assert_eq!(
            named("gemini", "POST", "/v1beta/models/gemini-2.0-flash:streamGenerateContent"),
            Some(("gemini", "chat"))
        );
        assert_eq!(named("gopher", "POST", "/v1/chat/completions"), None);
    }

    #[test]
    fn ids_are_unique_and_found() {
        let mut seen = std::collections::HashSet::new();
        for id in ids() {
            assert!(seen.insert(id) && by_id(id).is_some_and(|d| d.id() == id), "{id}");
        }
        assert!(by_id("gopher").is_none());
    }
}
