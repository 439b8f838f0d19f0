//! One HTTP exchange as a state machine without I/O: events in, commands out.
//!
//! The caller delivers what happened as an [`Event`] with the time, performs
//! the [`Command`]s of the returned [`Step`] in order, runs its `update` on the
//! shared cells and delivers the outcome as the next event, then obeys its
//! `flow`. Nothing here reads a clock, a header or a cell by itself, so the
//! same machine runs in Envoy, in the command line tool and in tests.

mod access;
mod admit;
mod cells;
mod channel;
mod consent;
mod decoded;
mod extend;
mod facts;
mod gate;
mod habits;
mod hygiene;
mod inspect;
mod joined;
mod known;
mod live;
mod mcp_headers;
mod names;
mod operator;
mod request;
mod response;
mod seen;
mod settle;
mod tally;
mod vault;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

pub use cells::{Answer, Update};
pub use consent::Ask;
pub use facts::Facts;
pub use gate::tool_hash;
pub use inspect::Scratch;

use crate::audit::{Coverage, CoverageState, Decision, Outcome, Record};
use crate::config::{
    Config,
    written::{Mode, OnFault},
};
use crate::policy::{Identity, Policy};
use crate::wire::{self, Dialect, Operation, Reason, Refusal, Reply};

/// Header names and values as they came: bytes, repeated ones apart.
pub type Headers = [(Vec<u8>, Vec<u8>)];

/// What happened on the stream.
#[derive(Debug)]
pub enum Event<'a> {
    /// Request headers. `claims` answers [`Config::claims`], in order.
    RequestHeaders {
        /// All of them, pseudo headers included.
        headers: &'a Headers,
        /// Values of the attributes that identity sources and facts need.
        claims: &'a [Option<Vec<u8>>],
        /// No body follows.
        end: bool,
    },
    /// More of the request body is buffered.
    RequestData {
        /// Bytes so far.
        size: usize,
    },
    /// The request body is complete, by its end or by trailers.
    RequestEnd {
        /// All of it.
        body: &'a [u8],
    },
    /// The shared cells answered the last [`Step::update`].
    Updated(Answer),
    /// The outcome of [`Command::Ask`]. `Flow::Continue`: what was held then
    /// goes on; `Flow::Hold`: it was refused, or nobody waits any more.
    Answered {
        /// Status and body, not more than [`crate::limits::MAX_APPROVAL_REPLY`];
        /// `None`: no answer came.
        reply: Option<(u16, &'a [u8])>,
        /// Time it took.
        waited_us: u64,
    },
    /// Response headers.
    ResponseHeaders {
        /// All of them, pseudo headers included.
        headers: &'a Headers,
        /// No body follows.
        end: bool,
    },
    /// More of a held response body is buffered.
    ResponseData {
        /// Bytes so far.
        size: usize,
    },
    /// The held response body is complete.
    ResponseEnd {
        /// All of it.
        body: &'a [u8],
    },
    /// A chunk of a live response.
    ResponseChunk {
        /// Its bytes.
        bytes: &'a [u8],
        /// No more follow.
        end: bool,
    },
    /// A live response ends in trailers: no chunk follows, and what was the
    /// last one has gone, unless it was held.
    ResponseTrailers,
    /// The exchange is over, one way or another.
    Done {
        /// Status the client got, 0 if none.
        status: u16,
        /// Time spent in the filter.
        added_us: u64,
    },
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set a request header, replacing all of that name.
    SetRequestHeader(Cow<'static, str>, String),
    /// Remove all request headers of that name.
    RemoveRequestHeader(String),
    /// Choose the route again: headers that routes match on have changed.
    ClearRouteCache,
    /// Replace the buffered request body.
    ReplaceRequestBody(Vec<u8>),
    /// Set a response header, replacing all of that name.
    SetResponseHeader(&'static str, String),
    /// Remove all response headers of that name.
    RemoveResponseHeader(&'static str),
    /// Replace the held response body, or the current chunk.
    ReplaceResponseBody(Vec<u8>),
    /// Answer in the upstream's place. Further events but `Done` are ignored.
    Reply {
        /// The answer.
        reply: Reply,
        /// For `%RESPONSE_CODE_DETAILS%`: no spaces.
        details: String,
    },
    /// Ask the approval service; the outcome is an event.
    Ask(Ask),
    /// Tokens to debit elsewhere, for Envoy's rate limit filter.
    Tokens(u64),
    /// The audit line.
    Audit(String),
    /// Add to a counter, by its labels.
    Count(Metric),
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A request, by decision and dialect.
    Request {
        /// See [`Decision`].
        decision: &'static str,
        /// Id of the dialect, or `none`.
        dialect: &'static str,
    },
    /// A finding, by rule.
    Finding {
        /// Id of the rule.
        rule: String,
        /// Whether it was acted on.
        enforced: bool,
    },
    /// A gap in coverage, by reason.
    Gap(&'static str),
    /// Tokens that went through.
    Tokens {
        /// Input.
        input: u64,
        /// Output.
        output: u64,
    },
}

/// Whether Envoy goes on with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Pass on what was delivered.
    Continue,
    /// Hold it and deliver more.
    Hold,
}

/// Answer to an event.
#[derive(Debug)]
pub struct Step {
    /// To be performed in order.
    pub commands: Vec<Command>,
    /// An update of a shared cell, whose outcome is the next event.
    pub update: Option<(String, Update)>,
    /// To be obeyed when there is no update left.
    pub flow: Flow,
}

/// How the response body reaches the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// Not looked at.
    #[default]
    Pass,
    /// Held until complete.
    Held,
    /// Chunk by chunk.
    Live,
}

/// See the module.
pub struct Session {
    config: Rc<Config>,
    phase: Phase,
    facts: Facts,
    who: Option<Identity>,
    policy: Option<usize>,
    target: Option<(&'static dyn Dialect, Operation)>,
    /// The request as the dialect read it, for the answer's sake.
    asked: request::Asked,
    mode: ResponseMode,
    live: Option<live::Live>,
    /// The last chunk of a live response is held, empty.
    open_chunk: bool,
    money: settle::Money,
    usual: habits::Usual,
    /// Headers of a refusal besides the dialect's: where the quotas stand, and
    /// the id of an approval.
    reply_headers: Vec<(&'static str, String)>,
    wanted: consent::Wanted,
    /// What the event said that an update of cells has come after.
    flow_after: Flow,
    tally: tally::Tally,
    vault: Rc<RefCell<vault::Vault>>,
    coverage: Coverage,
    record: Record,
    out: Vec<Command>,
}

/// Where the exchange stands.
#[derive(Debug, Default)]
enum Phase {
    /// Before request headers.
    #[default]
    New,
    /// Headers held, body on its way.
    Body,
    /// The operator asked for what is known of this subject.
    Operator(String),
    /// The baseline is being asked; the plan is ready.
    Weighing(Box<admit::Plan>),
    /// The approval service is being asked.
    Asking(Box<consent::Waiting>),
    /// Cells are being asked; the plan is ready.
    Reserving(Box<admit::Plan>),
    /// The request went upstream.
    Sent,
    /// Inspection does not apply: let pass by configuration.
    Passed,
    /// Answered here.
    Refused,
    /// Settling, after `Done`.
    Settling,
    /// The record is written.
    Closed,
}

impl Session {
    /// For a new stream.
    pub fn new(config: Rc<Config>) -> Self {
        let record = Record {
            v: 1,
            config_digest: config.digest.clone(),
            mode: if config.mode == Mode::Enforce { "enforce" } else { "monitor" },
            ..Record::default()
        };
        Session {
            config,
            phase: Phase::New,
            facts: Facts::default(),
            who: None,
            policy: None,
            target: None,
            asked: request::Asked::default(),
            mode: ResponseMode::Pass,
            live: None,
            open_chunk: false,
            money: settle::Money::default(),
            usual: habits::Usual::default(),
            reply_headers: Vec::new(),
            wanted: consent::Wanted::default(),
            flow_after: Flow::Continue,
            tally: tally::Tally::default(),
            vault: Rc::default(),
            coverage: Coverage::default(),
            record,
            out: Vec::new(),
        }
    }

    /// Deliver an event. `now_ms` is Unix time in milliseconds; `scratch` is
    /// shared by the sessions of a thread.
    pub fn step(&mut self, event: Event<'_>, now_ms: u64, scratch: &mut Scratch) -> Step {
        // The texts of one body share what is free.
        scratch.engine.begin();
        let flow = match event {
            Event::RequestHeaders { headers, claims, end } => {
                self.request_headers(headers, claims, end, now_ms, scratch)
            }
            Event::RequestData { size } => self.request_data(size),
            Event::RequestEnd { body } => self.request_end(body, now_ms, scratch),
            Event::Updated(Answer::Quota(outcome)) => self.updated(outcome, now_ms, scratch),
            Event::Updated(Answer::Baseline(outcome)) => self.usual_answered(outcome, now_ms, scratch),
            Event::ResponseHeaders { headers, end } => self.response_headers(headers, end, now_ms),
            Event::ResponseData { size } => {
                let flow = self.response_data(size);
                self.keep_up(flow, now_ms)
            }
            Event::Answered { reply, waited_us } => self.answered(reply, waited_us, now_ms, scratch),
            Event::ResponseEnd { body } => self.response_end(body, now_ms, scratch),
            Event::ResponseChunk { bytes, end } => {
                let flow = self.response_chunk(bytes, end, now_ms, scratch);
                self.keep_up(flow, now_ms)
            }
            Event::ResponseTrailers => self.response_trailers(now_ms, scratch),
            Event::Done { status, added_us } => self.done(status, added_us, now_ms, scratch),
        };
        let update = match self.usual.update.take() {
            Some((key, op)) => Some((key, Update::Baseline(op))),
            None => self.money.next_update().map(|(key, op)| (key, Update::Quota(op))),
        };
        Step { commands: std::mem::take(&mut self.out), update, flow }
    }

    /// How the response body is to be delivered.
    pub fn response_mode(&self) -> ResponseMode {
        self.mode
    }

    /// The session answers, or has answered, in the upstream's place.
    pub fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused)
    }

    /// Nothing more is looked at: refused, or passed by configuration.
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Refused | Phase::Passed | Phase::Settling | Phase::Closed)
    }

    fn policy(&self) -> Option<&Policy> {
        self.policy.and_then(|at| self.config.policies.get(at))
    }

    /// Whether decisions take effect, as far as mode and policy say.
    fn enforces(&self) -> bool {
        self.config.mode == Mode::Enforce && self.policy().is_none_or(|p| p.enforced)
    }

    /// Refuse, or in monitor mode record that it would have been. True if
    /// refused: the caller stops there.
    fn deny(&mut self, reason: Reason, code: &str, message: String) -> bool {
        self.deny_with(Refusal {
            reason,
            message,
            code: code.to_owned(),
            retry_after: None,
            rpc_ids: self.asked.rpc_ids.clone(),
        })
    }

    fn deny_with(&mut self, refusal: Refusal) -> bool {
        if !self.enforces() {
            self.record.would_deny.get_or_insert(refusal.code);
            return false;
        }
        self.refuse(refusal);
        true
    }

    /// The host did not do what a decision needs. True: go on all the same, as
    /// `on_fault: open` has it.
    pub fn host_fault(&mut self) -> bool {
        self.passes_faults("fault.host")
    }

    /// A filter behind this one refused the request, so the upstream was not
    /// asked: the answer is Envoy's own. To be said before its headers.
    pub fn refused_behind(&mut self, code: &'static str) {
        if !matches!(self.phase, Phase::Sent) {
            return;
        }
        self.record.decision = Decision::Deny;
        self.record.outcome = Outcome::Refused;
        self.record.deny_reason = Some(code.to_owned());
        self.phase = Phase::Refused;
        self.mode = ResponseMode::Pass;
        self.out.push(Command::SetResponseHeader("x-portcullis-verdict", "deny".to_owned()));
        self.out.push(Command::SetResponseHeader("x-portcullis-rule", code.to_owned()));
    }

    /// Faults that no input causes pass where the configuration says so. What
    /// a client could bring about is refused in any case.
    fn passes_faults(&mut self, reason: &'static str) -> bool {
        let open = self.config.on_fault == OnFault::Open;
        if open {
            self.gap(CoverageState::Partial, reason);
        }
        open
    }

    /// Refuse whatever the mode: what cannot be read cannot be monitored either.
    fn refuse(&mut self, refusal: Refusal) {
        let reply = match self.target {
            Some((dialect, _)) => dialect.refusal(&refusal),
            None => wire::plain_refusal(&refusal),
        };
        self.record.decision = Decision::Deny;
        self.record.outcome = Outcome::Refused;
        self.record.deny_reason = Some(refusal.code.clone());
        self.phase = Phase::Refused;
        self.mode = ResponseMode::Pass;
        let details =
            format!("portcullis_{}", refusal.code.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let mut reply = reply;
        reply.headers.append(&mut self.reply_headers);
        reply.headers.push(("x-portcullis-verdict", "deny".to_owned()));
        reply.headers.push(("x-portcullis-rule", refusal.code));
        self.out.push(Command::Reply { reply, details });
    }

    fn gap(&mut self, state: CoverageState, reason: &'static str) {
        self.coverage.lower(state, reason);
    }
}
