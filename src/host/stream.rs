//! One HTTP stream: callbacks to events, commands to host calls.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::hostcalls::{self, Buffer, Level, Map, Side, Status, log};
use super::root::Shared;
use super::{callout, cells};
use crate::config::Config;
use crate::session::{Command, Event, Flow, ResponseMode, Session};

/// See the module.
pub(super) struct Stream {
    /// Without a configuration there is none, and everything is refused.
    session: Option<Session>,
    config: Option<Rc<Config>>,
    shared: Rc<Shared>,
    /// Context of the plugin, and of this stream.
    ids: (u32, u32),
    /// When the approval service was asked, and what waits for it.
    asked: (u64, Side),
    /// Time spent in callbacks so far.
    spent_ns: u64,
    status: u16,
    /// A request came: one that is refused in front of the filter is only told of
    /// by its answer, and has no record.
    begun: bool,
    /// Bytes in the buffer of the body at hand: what a replacement replaces.
    size: usize,
}

impl Stream {
    pub(super) fn new(ids: (u32, u32), config: Option<Rc<Config>>, shared: Rc<Shared>) -> Self {
        let session = config.clone().map(Session::new);
        let asked = (0, Side::Request);
        Stream { session, config, shared, ids, asked, spent_ns: 0, status: 0, begun: false, size: 0 }
    }

    /// Deliver an event, perform what it leads to, and say how to go on.
    fn run(&mut self, event: Event<'_>, started_ns: u64) -> Action {
        let Some(session) = self.session.as_mut() else { return self.unconfigured() };
        let now_ms = started_ns / 1_000_000;
        let mut scratch = self.shared.scratch.borrow_mut();
        let mut step = session.step(event, now_ms, &mut scratch);
        let (mut before, mut unanswered) = (Flow::Hold, false);
        let flow = loop {
            for command in step.commands {
                if let Command::Ask(ask) = &command {
                    self.asked.0 = started_ns;
                    unanswered = !callout::send(ask, self.ids.0, self.ids.1);
                    continue;
                }
                let name = command_name(&command);
                let decisive = is_decisive(&command);
                let is_reply = matches!(command, Command::Reply { .. });
                if let Err(Status(status)) = perform(command, self.size, &self.shared) {
                    // Nothing of the command's content: it may hold user text.
                    log(Level::Error, &format!("portcullis: host refused {name} with status {status}"));
                    if decisive && (is_reply || !session.host_fault()) {
                        // What was not rewritten must not go on as it was.
                        let _ = hostcalls::reply(503, "portcullis_host_fault", &[], b"");
                        return Action::Pause;
                    }
                }
            }
            match step.update {
                Some((key, update)) => {
                    let answer = cells::update(&key, &update, now_ms);
                    step = session.step(Event::Updated(answer), now_ms, &mut scratch);
                }
                None if unanswered => {
                    unanswered = false;
                    before = step.flow;
                    step = session.step(Event::Answered { reply: None, waited_us: 0 }, now_ms, &mut scratch);
                }
                // What may go on may do so whatever is said of what waits.
                None if before == Flow::Continue => break before,
                None => break step.flow,
            }
        };
        drop(scratch);
        self.spent_ns += hostcalls::now_ns().saturating_sub(started_ns);
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Hold => Action::Pause,
        }
    }

    fn unconfigured(&self) -> Action {
        let _ = hostcalls::reply(503, "portcullis_unconfigured", &[], b"");
        Action::Pause
    }

    /// The bytes of a body that the host says are there; without them nothing
    /// was inspected, and nothing may pass.
    fn body(&self, which: Buffer, size: usize) -> Result<Vec<u8>, Action> {
        let bytes = hostcalls::buffer(which, size);
        if bytes.len() == size {
            return Ok(bytes);
        }
        let _ = hostcalls::reply(503, "portcullis_body_unreadable", &[], b"");
        Err(Action::Pause)
    }

    fn response_mode(&self) -> ResponseMode {
        self.session.as_ref().map(Session::response_mode).unwrap_or_default()
    }
}

impl Context for Stream {
    /// Of a stream that is gone nobody is told.
    fn on_http_call_response(&mut self, _: u32, _: usize, size: usize, _: usize) {
        let started = hostcalls::now_ns();
        let (root, stream) = self.ids;
        let answer = callout::answer(size, root, stream);
        let reply = answer.as_ref().map(|(status, body)| (*status, body.as_slice()));
        let waited_us = started.saturating_sub(self.asked.0) / 1000;
        let action = self.run(Event::Answered { reply, waited_us }, started);
        if action == Action::Continue && hostcalls::resume(self.asked.1).is_err() {
            log(Level::Error, "portcullis: host does not resume");
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        let started = hostcalls::now_ns();
        self.begun = true;
        let headers = hostcalls::headers(Map::Request);
        let paths = self.config.as_ref().map(|c| c.claims.as_slice()).unwrap_or_default();
        let claims: Vec<_> = paths.iter().map(|p| hostcalls::property(p)).collect();
        self.run(Event::RequestHeaders { headers: &headers, claims: &claims, end }, started)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let started = hostcalls::now_ns();
        self.size = size;
        if !end {
            return self.run(Event::RequestData { size }, started);
        }
        match self.body(Buffer::RequestBody, size) {
            Ok(body) => self.run(Event::RequestEnd { body: &body }, started),
            Err(action) => action,
        }
    }

    /// With trailers the body never ends by `end` above: HTTP/2 clients choose
    /// to send them, and a decompressor in front adds some.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let started = hostcalls::now_ns();
        let body = hostcalls::buffer(Buffer::RequestBody, usize::MAX);
        self.size = body.len();
        self.run(Event::RequestEnd { body: &body }, started)
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        let started = hostcalls::now_ns();
        self.asked.1 = Side::Response;
        let headers = hostcalls::headers(Map::Response);
        let status = headers.iter().find(|(k, _)| k == b":status");
        self.status = status.and_then(|(_, v)| std::str::from_utf8(v).ok()?.parse().ok()).unwrap_or(0);
        if let (400.., Some(session)) = (self.status, self.session.as_mut())
            && let Some(code) = refused_by_rate_limit()
        {
            session.refused_behind(code);
        }
        self.run(Event::ResponseHeaders { headers: &headers, end }, started)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let started = hostcalls::now_ns();
        self.size = size;
        match self.response_mode() {
            ResponseMode::Pass => Action::Continue,
            ResponseMode::Held if !end => self.run(Event::ResponseData { size }, started),
            ResponseMode::Held => match self.body(Buffer::ResponseBody, size) {
                Ok(body) => self.run(Event::ResponseEnd { body: &body }, started),
                Err(action) => action,
            },
            ResponseMode::Live => match self.body(Buffer::ResponseBody, size) {
                Ok(bytes) => self.run(Event::ResponseChunk { bytes: &bytes, end }, started),
                Err(action) => action,
            },
        }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let started = hostcalls::now_ns();
        match self.response_mode() {
            ResponseMode::Pass => Action::Continue,
            ResponseMode::Held => {
                let body = hostcalls::buffer(Buffer::ResponseBody, usize::MAX);
                self.size = body.len();
                self.run(Event::ResponseEnd { body: &body }, started)
            }
            // Empty, if the last chunk is held at all.
            ResponseMode::Live => {
                self.size = 0;
                self.run(Event::ResponseTrailers, started)
            }
        }
    }

    fn on_log(&mut self) {
        if !self.begun {
            return;
        }
        let started = hostcalls::now_ns();
        let added_us = self.spent_ns / 1000;
        self.run(Event::Done { status: self.status, added_us }, started);
    }
}

/// The code for an answer of Envoy's rate limit filter; `None` for all others.
/// Asked for on errors only: a property costs microseconds.
fn refused_by_rate_limit() -> Option<&'static str> {
    let details = hostcalls::property(&["response".to_owned(), "code_details".to_owned()])?;
    match details.as_slice() {
        b"request_rate_limited" => Some("global.over_limit"),
        b"rate_limiter_error" => Some("global.unavailable"),
        _ => None,
    }
}

fn perform(command: Command, size: usize, shared: &Shared) -> Result<(), Status> {
    match command {
        Command::SetRequestHeader(name, value) => hostcalls::set_header(Map::Request, &name, &value),
        Command::RemoveRequestHeader(name) => hostcalls::remove_header(Map::Request, &name),
        Command::ClearRouteCache => hostcalls::clear_route_cache(),
        Command::ReplaceRequestBody(body) => hostcalls::set_buffer(Buffer::RequestBody, size, &body),
        Command::SetResponseHeader(name, value) => hostcalls::set_header(Map::Response, name, &value),
        Command::RemoveResponseHeader(name) => hostcalls::remove_header(Map::Response, name),
        Command::ReplaceResponseBody(body) => hostcalls::set_buffer(Buffer::ResponseBody, size, &body),
        Command::Reply { reply, details } => {
            let own = reply.headers.iter().map(|(k, v)| (*k, v.as_str()));
            let headers: Vec<_> = std::iter::once(("content-type", reply.content_type)).chain(own).collect();
            hostcalls::reply(reply.status, &details, &headers, &reply.body)
        }
        Command::Tokens(n) => hostcalls::set_property("portcullis_tokens", n.to_string().as_bytes()),
        Command::Audit(line) => hostcalls::set_property("portcullis_audit", line.as_bytes()),
        // Asked above: its outcome is an event.
        Command::Ask(_) => Ok(()),
        Command::Count(metric) => {
            shared.metrics.borrow_mut().add(&metric);
            Ok(())
        }
    }
}

/// Whether the stream must not go on if the host refuses the command.
fn is_decisive(command: &Command) -> bool {
    matches!(
        command,
        Command::ReplaceRequestBody(_)
            | Command::ReplaceResponseBody(_)
            | Command::Reply { .. }
            | Command::RemoveRequestHeader(_)
            | Command::SetRequestHeader(..)
    )
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::SetRequestHeader(..) => "set request header",
        Command::RemoveRequestHeader(_) => "remove request header",
        Command::ClearRouteCache => "clear route cache",
        Command::ReplaceRequestBody(_) => "replace request body",
        Command::SetResponseHeader(..) => "set response header",
        Command::RemoveResponseHeader(_) => "remove response header",
        Command::ReplaceResponseBody(_) => "replace response body",
        Command::Reply { .. } => "reply",
        Command::Tokens(_) => "set tokens",
        Command::Audit(_) => "set audit",
        Command::Count(_) => "count",
        Command::Ask(_) => "ask",
    }
}
