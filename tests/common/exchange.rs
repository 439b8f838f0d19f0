//! Whole exchanges through the session, as Envoy drives them, with the shared
//! cells in a map.
// Each suite uses a part.
#![allow(dead_code)]

use std::collections::HashMap;
use std::rc::Rc;

use portcullis::config::Config;
use portcullis::session::{Ask, Command, Event, Flow, ResponseMode, Scratch, Session, Step};
use serde_json::{Value, json};

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
    session: Session,
    /// What goes upstream; `None`: nothing did.
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) response: Vec<u8>,
    pub(crate) reply: Option<portcullis::wire::Reply>,
    record: Option<Value>,
    /// A question to the approval service.
    pub(crate) asked: Option<Ask>,
    /// Set on the request, or removed (`None`).
    pub(crate) request_headers: HashMap<String, Option<String>>,
    pub(crate) response_headers: HashMap<String, String>,
}

/// A configuration of these policies, for callers that name themselves.
pub(crate) fn config(policies: Value, more: Value) -> Rc<Config> {
    let mut text = json!({
        "version": 1,
        "identity": { "sources": [{ "header": { "name": "x-agent-id", "groups": "x-groups", "trusted": true } }] },
        "policies": policies,
    });
    text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Rc::new(Config::from_json(&text.to_string()).unwrap_or_else(|e| panic!("{e}")))
}

/// Why a configuration is refused.
pub(crate) fn refused(more: Value) -> String {
    let mut text = json!({
        "version": 1, "identity": { "required": false }, "policies": [{ "name": "a" }],
    });
    text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Config::from_json(&text.to_string()).map(|_| ()).unwrap_err().to_string()
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
            asked: None,
            request_headers: HashMap::new(),
            response_headers: HashMap::new(),
        }
    }

    fn step(&mut self, event: Event<'_>) -> (Flow, Option<Vec<u8>>) {
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
                    Command::SetRequestHeader(k, v) => {
                        drop(self.request_headers.insert(k.into_owned(), Some(v)));
                    }
                    Command::RemoveRequestHeader(k) => drop(self.request_headers.insert(k, None)),
                    Command::SetResponseHeader(k, v) => {
                        drop(self.response_headers.insert(k.to_owned(), v));
                    }
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

    /// Send a request. True if it goes upstream.
    pub(crate) fn send(
        &mut self,
        headers: &[(&str, &str)],
        claims: &[Option<Vec<u8>>],
        body: Option<&[u8]>,
    ) -> bool {
        let headers: Vec<_> =
            headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let (flow, _) = self.step(Event::RequestHeaders { headers: &headers, claims, end: body.is_none() });
        if self.reply.is_some() {
            return false;
        }
        let Some(body) = body else { return flow == Flow::Continue };
        assert_eq!(flow, Flow::Hold, "headers are held until the body is known");
        let (flow, _) = self.step(Event::RequestEnd { body });
        if flow == Flow::Continue && self.request.is_none() {
            self.request = Some(body.to_vec());
        }
        flow == Flow::Continue && self.reply.is_none()
    }

    /// The approval service answers. True if what was held goes on.
    pub(crate) fn answered(&mut self, reply: Option<(u16, &[u8])>) -> bool {
        let (flow, replaced) = self.step(Event::Answered { reply, waited_us: 7 });
        if self.session.response_mode() == ResponseMode::Live {
            self.response.extend(replaced.unwrap_or_default());
        }
        flow == Flow::Continue
    }

    /// A POST of somebody's.
    pub(crate) fn ask(&mut self, who: &str, path: &str, body: &[u8]) -> bool {
        let headers = [
            (":method", "POST"),
            (":path", path),
            (":authority", "models.test"),
            ("x-agent-id", who),
            ("content-type", "application/json"),
        ];
        self.send(&headers, &[], Some(body))
    }

    pub(crate) fn answer(&mut self, status: &str, content_type: &str, chunks: &[&[u8]]) {
        self.open(status, content_type);
        match self.session.response_mode() {
            ResponseMode::Held => {
                let body = chunks.concat();
                let (_, replaced) = self.step(Event::ResponseEnd { body: &body });
                self.response = replaced.unwrap_or(body);
            }
            ResponseMode::Live => {
                for (i, chunk) in chunks.iter().enumerate() {
                    self.chunk(chunk, i + 1 == chunks.len());
                }
            }
            ResponseMode::Pass => self.response = chunks.concat(),
        }
    }

    /// Response headers alone.
    pub(crate) fn open(&mut self, status: &str, content_type: &str) {
        let headers = [(":status", status), ("content-type", content_type)];
        let headers: Vec<_> =
            headers.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        self.step(Event::ResponseHeaders { headers: &headers, end: false });
    }

    /// A live stream ends in trailers.
    pub(crate) fn trailers(&mut self) -> Flow {
        let (flow, replaced) = self.step(Event::ResponseTrailers);
        self.response.extend(replaced.unwrap_or_default());
        flow
    }

    /// A chunk of a live stream.
    pub(crate) fn chunk(&mut self, bytes: &[u8], end: bool) {
        let (flow, replaced) = self.step(Event::ResponseChunk { bytes, end });
        let kept_open = replaced.as_deref().unwrap_or(bytes).is_empty();
        assert!(flow == Flow::Continue || kept_open, "a stream with something to send is never paused");
        self.response.extend(replaced.unwrap_or_else(|| bytes.to_vec()));
    }

    pub(crate) fn finish(&mut self) -> Value {
        self.step(Event::Done { status: 200, added_us: 1 });
        self.record.clone().expect("every exchange leaves a record")
    }

    /// Status and code of the refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let reply = self.reply.as_ref().expect("refused");
        let rule = reply.headers.iter().find(|(k, _)| *k == "x-portcullis-rule");
        (reply.status, rule.map(|(_, v)| v.clone()).unwrap_or_default())
    }
}

/// A chat request with more members.
pub(crate) fn chat(text: &str, more: Value) -> Vec<u8> {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string().into_bytes()
}

/// An answer in chat form.
pub(crate) fn said(message: Value, usage: (u64, u64)) -> Vec<u8> {
    let (input, output) = usage;
    json!({
        "model": "m",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output },
    })
    .to_string()
    .into_bytes()
}

/// Deltas of a streamed chat completion, each an event of its own.
pub(crate) fn deltas(deltas: &[Value], finish: &str) -> Vec<Vec<u8>> {
    let mut events: Vec<Value> = deltas
        .iter()
        .map(|d| json!({ "model": "m", "choices": [{ "index": 0, "delta": d, "finish_reason": null }] }))
        .collect();
    events.push(json!({ "model": "m", "choices": [{ "index": 0, "delta": {}, "finish_reason": finish }] }));
    let mut out: Vec<_> = events.iter().map(|e| format!("data: {e}\n\n").into_bytes()).collect();
    out.push(b"data: [DONE]\n\n".to_vec());
    out
}
