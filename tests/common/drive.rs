//! Whole exchanges through the session, as Envoy would drive them, with the
//! shared cells in a map. For every suite over the session.
// Each suite uses a part.
#![allow(dead_code)]

use std::collections::HashMap;
use std::rc::Rc;

use portcullis::config::Config;
use portcullis::session::{Ask, Command, Event, Flow, ResponseMode, Scratch, Session, Step};
use serde_json::{Value, json};

pub(crate) const CARD: &str = "4111 1111 1111 1111";
pub(crate) const EMAIL: &str = "jane.doe@example.com";

/// One worker: cells and scratch outlive its exchanges.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) cells: HashMap<String, Vec<u8>>,
    pub(crate) scratch: Scratch,
    pub(crate) now: u64,
}

/// One exchange and what came of it.
pub(crate) struct Exchange<'w> {
    pub(crate) worker: &'w mut Worker,
    pub(crate) session: Session,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) response: Vec<u8>,
    pub(crate) reply: Option<portcullis::wire::Reply>,
    pub(crate) record: Option<Value>,
    pub(crate) headers: HashMap<String, String>,
    /// The last question to an approval service.
    pub(crate) asked: Option<Ask>,
}

pub(crate) fn config(policy: Value) -> Rc<Config> {
    config_with(policy, json!({}))
}

/// With further sections.
pub(crate) fn config_with(policy: Value, more: Value) -> Rc<Config> {
    let mut text = json!({
        "version": 1,
        "identity": { "sources": [{ "header": { "name": "x-agent-id", "trusted": true } }] },
        "policies": [policy],
    });
    text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Rc::new(Config::from_json(&text.to_string()).unwrap())
}

pub(crate) fn masking() -> Value {
    let actions =
        json!({ "pii": "redact", "secrets": "redact", "exfiltration": "block", "injection": "block" });
    json!({ "name": "p", "scan": { "request": actions, "response": actions } })
}

impl<'w> Exchange<'w> {
    pub(crate) fn new(worker: &'w mut Worker, config: &Rc<Config>) -> Self {
        Exchange {
            worker,
            session: Session::new(config.clone()),
            request: None,
            response: Vec::new(),
            reply: None,
            record: None,
            headers: HashMap::new(),
            asked: None,
        }
    }

    pub(crate) fn step(&mut self, event: Event<'_>) -> (Flow, Option<Vec<u8>>) {
        let mut replaced = None;
        let now = self.worker.now;
        let mut step = self.session.step(event, now, &mut self.worker.scratch);
        loop {
            let Step { commands, update, flow } = step;
            for command in commands {
                match command {
                    Command::ReplaceRequestBody(body) => self.request = Some(body),
                    Command::ReplaceResponseBody(body) => replaced = Some(body),
                    Command::Reply { reply, .. } => self.reply = Some(reply),
                    Command::Ask(ask) => self.asked = Some(ask),
                    Command::Audit(line) => self.record = Some(serde_json::from_str(&line).unwrap()),
                    Command::SetRequestHeader(k, v) => drop(self.headers.insert(k.into_owned(), v)),
                    _ => {}
                }
            }
            let Some((key, update)) = update else { return (flow, replaced) };
            let (cell, answer) = update.apply(self.worker.cells.get(&key).map(Vec::as_slice), now);
            if let Some(cell) = cell {
                self.worker.cells.insert(key, cell);
            }
            step = self.session.step(Event::Updated(answer), now, &mut self.worker.scratch);
        }
    }

    /// True if the request goes upstream.
    pub(crate) fn ask(&mut self, path: &str, body: &[u8]) -> bool {
        self.ask_as("ann", path, body)
    }

    pub(crate) fn ask_as(&mut self, who: &str, path: &str, body: &[u8]) -> bool {
        let headers =
            [(":method", "POST"), (":path", path), ("x-agent-id", who), ("content-type", "application/json")];
        let headers: Vec<_> =
            headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let (flow, _) = self.step(Event::RequestHeaders { headers: &headers, claims: &[], end: false });
        assert_eq!(flow, Flow::Hold, "headers are held until the body is known");
        if self.reply.is_some() {
            return false;
        }
        let (flow, _) = self.step(Event::RequestEnd { body });
        if self.request.is_none() {
            self.request = Some(body.to_vec());
        }
        flow == Flow::Continue
    }

    pub(crate) fn answer(&mut self, status: &str, content_type: &str, chunks: &[&[u8]]) {
        let headers = [(":status", status), ("content-type", content_type)];
        let headers: Vec<_> =
            headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        self.step(Event::ResponseHeaders { headers: &headers, end: false });
        match self.session.response_mode() {
            ResponseMode::Held => {
                let body = chunks.concat();
                let (_, replaced) = self.step(Event::ResponseEnd { body: &body });
                self.response = replaced.unwrap_or(body);
            }
            ResponseMode::Live => {
                for (i, chunk) in chunks.iter().enumerate() {
                    let end = i + 1 == chunks.len();
                    let (flow, replaced) = self.step(Event::ResponseChunk { bytes: chunk, end });
                    let kept = flow == Flow::Hold && replaced.as_deref() == Some(b"");
                    assert!(kept || flow == Flow::Continue, "a chunk with something to send is never held");
                    self.response.extend(replaced.unwrap_or_else(|| chunk.to_vec()));
                }
            }
            ResponseMode::Pass => self.response = chunks.concat(),
        }
    }

    /// The first chunk of a live answer: what of it goes to the client.
    pub(crate) fn live(&mut self, content_type: &str, chunk: &[u8]) -> Vec<u8> {
        let headers = [
            (b":status".to_vec(), b"200".to_vec()),
            (b"content-type".to_vec(), content_type.as_bytes().to_vec()),
        ];
        self.step(Event::ResponseHeaders { headers: &headers, end: false });
        let (_, replaced) = self.step(Event::ResponseChunk { bytes: chunk, end: false });
        replaced.unwrap_or_else(|| chunk.to_vec())
    }

    pub(crate) fn finish(&mut self) -> Value {
        self.step(Event::Done { status: 200, added_us: 1 });
        self.record.clone().expect("every exchange leaves a record")
    }
}

pub(crate) fn chat(text: &str, more: Value) -> Vec<u8> {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string().into_bytes()
}

pub(crate) fn stream(pieces: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        let event = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }] });
        out.extend_from_slice(format!("data: {event}\n\n").as_bytes());
    }
    let end = json!({ "model": "m", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    out.extend_from_slice(format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes());
    out
}

pub(crate) fn said(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let events = text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).filter(|d| *d != "[DONE]");
    let pieces = events.filter(|d| !d.is_empty()).map(|d| serde_json::from_str::<Value>(d).unwrap());
    pieces.map(|e| e["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()).collect()
}
