//! What an answer may bring: tools that the model calls, tools and skills that
//! a server lists. One gate serves whole answers and live streams.
//!
//! In a stream a call is judged by its name when it starts. Where the policy
//! says what a tool may be called with, its arguments are withheld until they
//! are complete: half of them prove nothing. A call that needs consent waits
//! from its name on, and all that follows waits behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::access::arguments_fit;
use super::consent::REQUIRED;
use super::habits::{First, note};
use super::vault::Vault;
use crate::audit::digest::hex;
use crate::baseline::Kind;
use crate::baseline::kind::{tag, tagged};
use crate::config::Config;
use crate::limits::{
    MAX_APPROVAL_CALLS, MAX_HELD_BYTES, MAX_JOINED_NAME, MAX_LISTED_TOOLS, MAX_STREAM_CHANNELS,
};
use crate::policy::access::{Pinned, Unpinned};
use crate::policy::{Act, Policy};
use crate::text::escape;
use crate::wire::edit::{Edit, keep_elements};
use crate::wire::{Channel, Field, Response, StreamEvent, ToolCall};

/// Codes of refusals.
pub(super) const CALLED: &str = "policy.tool_called";
pub(super) const ARGUMENTS: &str = "policy.tool_arguments";
const METHOD: &str = "policy.mcp_method";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Configuration and the policy in it; `None`: everything passes.
    policy: Option<(Rc<Config>, usize)>,
    server: String,
    is_mcp: bool,
    enforced: bool,
    /// What placeholders in names and arguments will be turned back into.
    vault: Rc<RefCell<Vault>>,
    /// Calls of a stream whose arguments are not complete.
    open: BTreeMap<Channel, Open>,
    /// Names of the calls so far.
    names: BTreeMap<Channel, String>,
    /// Calls that need consent, with their arguments, once those are complete.
    asks: Vec<(String, Vec<u8>)>,
    /// Where each of them was told.
    asked_on: Vec<Channel>,
    /// So many of them were handed out.
    told: usize,
    /// A call that needs consent has begun.
    began: bool,
    /// Arguments have come that nobody puts together.
    partial: bool,
    /// What is new of the answer; `None`: the policy has no baseline.
    first: Option<First>,
    pub(super) notes: Notes,
}

/// A call whose arguments are still coming.
#[derive(Debug)]
struct Open {
    name: String,
    /// They came whole, and were judged, unless more of them follows.
    judged: bool,
    /// The arguments so far, where nothing withholds them.
    heard: String,
    /// It needs consent, under this name.
    asks: Option<String>,
    /// Arguments that came with the name, if it does.
    whole: Vec<u8>,
    /// Pieces of arguments have come.
    begun: bool,
    /// What it calls was told in full, and is asked about.
    again: bool,
}

/// What the gate has seen, for the record.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What would have been refused.
    pub(super) would_deny: Option<&'static str>,
    /// Tools listed, with their hashes.
    pub(super) listed: Vec<(String, String)>,
    /// Tools and skills taken out of lists.
    pub(super) hidden: u32,
    /// Tools that differ from their pin, and those without one.
    pub(super) changed: u32,
    pub(super) unpinned: u32,
    /// What the subject's baseline did not know.
    pub(super) news: Vec<String>,
    /// What the baseline learns, if all goes well.
    pub(super) used: Vec<String>,
}

impl Gate {
    pub(super) fn new(
        policy: Option<(Rc<Config>, usize)>,
        server: String,
        is_mcp: bool,
        enforced: bool,
        vault: Rc<RefCell<Vault>>,
    ) -> Self {
        Gate { policy, server, is_mcp, enforced, vault, ..Gate::default() }
    }

    pub(super) fn with_first(mut self, first: Option<First>) -> Self {
        self.first = first;
        self
    }

    /// What the model says of itself, and what it calls, against what is usual.
    #[inline(never)]
    fn usual(&mut self, tag: char, name: &str) -> Result<(), &'static str> {
        let Some(habits) = self.policy().and_then(|p| p.habits.as_ref()) else { return Ok(()) };
        let (name, kind) =
            (tagged(tag, name), if tag == tag::SERVED { Kind::NewServedModel } else { Kind::NewTool });
        let act = if habits.knows(&name) { Act::Allow } else { habits.act(kind) };
        let Some(is_new) = self.first.as_mut().and_then(|first| first.is_new(&name)) else { return Ok(()) };
        if is_new && act != Act::Allow {
            note(&mut self.notes.news, &name);
            if act != Act::Flag {
                return self.deny(kind.id());
            }
        }
        note(&mut self.notes.used, &name);
        Ok(())
    }

    fn policy(&self) -> Option<&Policy> {
        let (config, at) = self.policy.as_ref()?;
        config.policies.get(*at)
    }

    /// Refuse, or note that it would have been.
    fn deny(&mut self, code: &'static str) -> Result<(), &'static str> {
        if self.enforced {
            return Err(code);
        }
        self.notes.would_deny.get_or_insert(code);
        Ok(())
    }

    fn permits(&self, name: &str) -> bool {
        self.policy().is_none_or(|p| p.access.tools.permits(name))
    }

    /// As the model wrote them, and as the client will get them.
    fn fits(&self, name: &str, json: &[u8]) -> bool {
        let Some(policy) = self.policy().filter(|p| p.constrains(name)) else { return true };
        let fit = |json: &[u8]| arguments_fit(policy, name, json);
        fit(json) && self.turned_back(json).is_none_or(|json| fit(json.as_bytes()))
    }

    /// A name as the client will get it.
    pub(super) fn name(&self, call: &ToolCall) -> String {
        self.turned_back(call.name.as_bytes()).unwrap_or_else(|| call.name.clone())
    }

    /// JSON with its placeholders turned back; `None`: it has none.
    fn turned_back(&self, json: &[u8]) -> Option<String> {
        let vault = self.vault.borrow();
        let json = std::str::from_utf8(json).ok().filter(|_| !vault.is_empty())?;
        let mut text = String::with_capacity(json.len());
        escape::unescape_lenient(json, &mut text);
        let found = vault.find(&text);
        let offsets: Vec<usize> = found.iter().flat_map(|(range, _)| [range.start, range.end]).collect();
        let mapped = escape::source_offsets_lenient(json, &offsets);
        let (mut out, mut done) = (String::new(), 0);
        for ((_, value), at) in found.iter().zip(mapped.chunks_exact(2)) {
            let [start, end] = at else { continue };
            out.push_str(json.get(done..*start)?);
            escape::escape_json(value, &mut out);
            done = *end;
        }
        out.push_str(json.get(done..)?);
        (done > 0).then_some(out)
    }

    /// What an MCP server asks of its client: sampling, elicitation, roots.
    fn methods(&mut self, methods: &[String]) -> Result<(), &'static str> {
        let permitted = |p: &Policy| methods.iter().all(|method| p.access.mcp.permits_method(method));
        if self.is_mcp && !self.policy().is_none_or(permitted) {
            return self.deny(METHOD);
        }
        Ok(())
    }

    /// A whole answer: what has to be cut out of it, or why it is refused.
    pub(super) fn whole(&mut self, read: &Response, body: &[u8]) -> Result<Vec<Edit>, &'static str> {
        self.methods(&read.methods)?;
        if let Some(model) = &read.model {
            self.usual(tag::SERVED, model)?;
        }
        for call in &read.tool_calls {
            let name = self.name(call);
            if !self.permits(&name) {
                self.deny(CALLED)?;
            }
            self.usual(tag::CALLED, &name)?;
            if !self.fits(&name, &arguments(call, body)) {
                self.deny(ARGUMENTS)?;
            }
        }
        let mut edits = self.tools(&read.tools_listed, body);
        let skills: Vec<_> = read
            .skills_listed
            .iter()
            .map(|s| self.policy().is_none_or(|p| p.access.skills.permits(&s.value)))
            .collect();
        edits.extend(self.keep(&read.skills_listed, &skills, body));
        Ok(edits)
    }

    /// An event of a stream, before any of it is sent on. `is_known`: the
    /// channel has had text already.
    pub(super) fn event(
        &mut self,
        event: &StreamEvent,
        data: &[u8],
        is_known: impl Fn(&Channel) -> bool,
    ) -> Result<Vec<Edit>, &'static str> {
        self.methods(&event.methods)?;
        if let Some(model) = &event.model {
            self.usual(tag::SERVED, model)?;
        }
        for (channel, call) in &event.calls_again {
            let known = self.names.get(channel).cloned().unwrap_or_default();
            let name = if call.name.is_empty() { known } else { self.name(call) };
            if !name.is_empty() && !self.permits(&name) {
                self.deny(CALLED)?;
            }
            if !name.is_empty() {
                self.usual(tag::CALLED, &name)?;
            }
            if !name.is_empty() && self.needs_consent(&name) {
                let called = (name.clone(), arguments(call, data));
                if !self.has_asked(channel, &called) {
                    self.ask(*channel, called)?;
                    if let Some(open) = self.open.get_mut(channel) {
                        open.again = true;
                    }
                }
            }
            if !self.fits(&name, &arguments(call, data)) {
                self.deny(ARGUMENTS)?;
            }
        }
        for (channel, call) in &event.tool_calls {
            let name = self.name(call);
            // SDKs join the names that come for one call; other dialects send
            // several calls on a channel. Joined they must not be what is denied.
            let known = self.names.get(channel).map(String::as_str).unwrap_or_default();
            let mut joined = [known, &name].concat();
            if joined.len() > MAX_JOINED_NAME {
                let (whole, repeated) = (comes_whole(call, data), known.ends_with(&name));
                if name.len() > MAX_JOINED_NAME || !(whole || repeated) {
                    return Err("stream.channels");
                }
                // Many calls in a row, of which none is a piece of a name.
                joined.clone_from(&name);
            }
            let denied = self.policy().is_some_and(|p| p.access.tools.denies(&joined));
            if denied || !self.permits(&name) {
                self.deny(CALLED)?;
            }
            self.usual(tag::CALLED, &name)?;
            let asks = [&name, &joined].into_iter().find(|name| self.needs_consent(name)).cloned();
            if self.names.len() >= MAX_STREAM_CHANNELS && !self.names.contains_key(channel) {
                return Err("stream.channels");
            }
            self.names.insert(*channel, joined);
            // Clients do not agree on whose the arguments before this name are.
            if let Some(open) = self.open.get(channel).filter(|open| open.begun) {
                if open.asks.is_some() || asks.is_some() {
                    return Err("stream.calls");
                }
                if open.name != name {
                    self.deny(ARGUMENTS)?;
                }
            }
            if asks.is_none() && !self.policy().is_some_and(|p| p.constrains(&name)) {
                continue;
            }
            // Arguments before their name have been sent unjudged.
            if is_known(channel) && !self.open.contains_key(channel) {
                self.deny(ARGUMENTS)?;
            }
            let streamed = event.pieces.iter().any(|piece| piece.channel == *channel);
            let whole = arguments(call, data);
            let judged = !streamed && !matches!(whole.trim_ascii(), b"" | b"{}");
            if judged && !self.fits(&name, &whole) {
                self.deny(ARGUMENTS)?;
            }
            let whole = if asks.is_some() { whole } else { Vec::new() };
            let open = Open { name, judged, heard: String::new(), asks, whole, begun: false, again: false };
            // Another call on the channel: that was all of the one before, be it
            // without arguments.
            if let Some(Open { asks: Some(name), whole, .. }) = self.open.insert(*channel, open) {
                self.ask(*channel, (name, whole))?;
            }
        }
        self.partial |= event.partial_calls;
        // Who is asked would not see what is called.
        if self.partial && self.open.values().any(|open| open.asks.is_some()) {
            return Err(REQUIRED);
        }
        Ok(self.tools(&event.tools_listed, data))
    }

    /// Whether a call needs consent; from it on the stream waits.
    fn needs_consent(&mut self, name: &str) -> bool {
        let approval = self.policy().and_then(|p| p.approval.as_ref());
        let needs = approval.is_some_and(|a| a.wants(name, &self.server));
        if needs && !self.enforced {
            self.notes.would_deny.get_or_insert(REQUIRED);
            return false;
        }
        self.began |= needs;
        needs
    }

    /// A call whose arguments are complete. Equal ones are as many calls.
    fn ask(&mut self, channel: Channel, call: (String, Vec<u8>)) -> Result<(), &'static str> {
        self.asks.push(call);
        self.asked_on.push(channel);
        if self.asks.len() > MAX_APPROVAL_CALLS { Err(REQUIRED) } else { Ok(()) }
    }

    /// This very call, told at the same place.
    fn has_asked(&self, channel: &Channel, call: &(String, Vec<u8>)) -> bool {
        self.asks.iter().zip(&self.asked_on).any(|(asked, on)| on == channel && asked == call)
    }

    /// A call that needs consent has begun since this was asked last.
    pub(super) fn began(&mut self) -> bool {
        std::mem::take(&mut self.began)
    }

    /// Calls to ask about that were not handed out yet; `None`: the arguments of
    /// one are still coming.
    pub(super) fn take_calls(&mut self) -> Option<Vec<(String, Vec<u8>)>> {
        if self.open.values().any(|open| open.asks.is_some()) {
            return None;
        }
        let fresh = self.asks.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.asks.len();
        Some(fresh)
    }

    /// The text of this channel waits for its end.
    pub(super) fn holds(&self, channel: &Channel) -> bool {
        self.enforced && self.open.contains_key(channel)
    }

    /// More of the arguments on a channel. In monitor mode they are not withheld,
    /// and the channel forgets what has gone.
    pub(super) fn hear(&mut self, channel: &Channel, more: &str) {
        let Some(open) = self.open.get_mut(channel) else { return };
        open.begun = true;
        if let Some(open) =
            Some(open).filter(|open| !self.enforced && open.heard.len() + more.len() <= MAX_HELD_BYTES)
        {
            open.heard.push_str(more);
        }
    }

    /// The arguments on a channel are complete.
    pub(super) fn close(&mut self, channel: &Channel, held: &str) -> Result<(), &'static str> {
        let Some(open) = self.open.remove(channel) else { return Ok(()) };
        let json = if self.enforced { held } else { &open.heard };
        if !(json.is_empty() && open.judged || self.fits(&open.name, json.as_bytes())) {
            self.deny(ARGUMENTS)?;
        }
        let Some(name) = open.asks else { return Ok(()) };
        let call = (name, if json.is_empty() { open.whole } else { json.as_bytes().to_vec() });
        if open.again && self.has_asked(channel, &call) { Ok(()) } else { self.ask(*channel, call) }
    }

    /// The stream is over: calls that came without arguments.
    pub(super) fn close_all(&mut self) -> Result<(), &'static str> {
        for (channel, open) in std::mem::take(&mut self.open) {
            if !open.judged && !self.fits(&open.name, b"") {
                self.deny(ARGUMENTS)?;
            }
            let Some(name) = open.asks else { continue };
            let call = (name, open.whole);
            if !(open.again && (call.1.is_empty() || self.has_asked(&channel, &call))) {
                self.ask(channel, call)?;
            }
        }
        Ok(())
    }

    /// Tools of a list that the policy or a pin keeps out.
    fn tools(&mut self, tools: &[Field<String>], body: &[u8]) -> Vec<Edit> {
        if tools.is_empty() || !self.is_mcp {
            return Vec::new();
        }
        let mut keep = Vec::with_capacity(tools.len());
        for tool in tools {
            let raw = tool.range.clone().and_then(|range| body.get(range)).unwrap_or_default();
            let hash = tool_hash(raw);
            keep.push(self.keeps_tool(&tool.value, &hash));
            if self.notes.listed.len() < MAX_LISTED_TOOLS {
                self.notes.listed.push((tool.value.clone(), hash));
            }
        }
        self.keep(tools, &keep, body)
    }

    fn keeps_tool(&mut self, name: &str, hash: &str) -> bool {
        let Some(policy) = self.policy() else { return true };
        let pins = &policy.access.mcp.pins;
        let permitted = policy.permits_mcp_tool(name);
        let (hide, unpinned) = (pins.hide_changed, pins.unpinned == Unpinned::Hide);
        match pins.compare(&self.server, name, hash) {
            Pinned::Same => permitted,
            Pinned::Changed => {
                self.notes.changed = self.notes.changed.saturating_add(1);
                permitted && !hide
            }
            Pinned::Unknown => {
                self.notes.unpinned = self.notes.unpinned.saturating_add(1);
                permitted && !unpinned
            }
        }
    }

    /// Edits that leave of each list what is kept.
    fn keep(&mut self, listed: &[Field<String>], keep: &[bool], body: &[u8]) -> Vec<Edit> {
        let hidden = keep.iter().filter(|keep| !**keep).count();
        self.notes.hidden = self.notes.hidden.saturating_add(u32::try_from(hidden).unwrap_or(u32::MAX));
        if !self.enforced || hidden == 0 {
            return Vec::new();
        }
        let all: Vec<_> =
            listed.iter().zip(keep).filter_map(|(f, keep)| Some((f.range.clone()?, *keep))).collect();
        // A batch holds several lists: only elements with a comma between are of one.
        let of_one = |a: usize, b: usize| {
            let between = body.get(a..b).unwrap_or_default();
            between.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',')
        };
        all.chunk_by(|(a, _), (b, _)| of_one(a.end, b.start)).flat_map(keep_elements).collect()
    }
}

/// Edits inside a part that is taken out are no longer needed.
pub(super) fn merge(edits: Vec<Edit>, mut cuts: Vec<Edit>) -> Vec<Edit> {
    crate::order::sort_by_key(&mut cuts, |cut| cut.range.start);
    let inside = |e: &Edit| {
        let after = cuts.partition_point(|cut| cut.range.end < e.range.end);
        cuts.get(after).is_some_and(|cut| cut.range.start <= e.range.start)
    };
    let mut all: Vec<_> = edits.into_iter().filter(|e| !inside(e)).collect();
    all.extend(cuts);
    all
}

/// Its arguments are a value, not the text of one: dialects that say them so
/// send no names in pieces.
fn comes_whole(call: &ToolCall, body: &[u8]) -> bool {
    let Some(range) = &call.arguments else { return false };
    body.get(range.start) == Some(&b'{') && !is_in_string(range.start, body)
}

fn is_in_string(start: usize, body: &[u8]) -> bool {
    start.checked_sub(1).and_then(|at| body.get(at)) == Some(&b'"')
}

/// Arguments of a call as a JSON document.
pub(super) fn arguments(call: &ToolCall, body: &[u8]) -> Vec<u8> {
    let Some(range) = call.arguments.clone() else { return Vec::new() };
    let raw = body.get(range.clone()).unwrap_or_default();
    let mut text = String::new();
    if !is_in_string(range.start, body) || escape::unescape_json(raw, &mut text).is_err() {
        return raw.to_vec();
    }
    text.into_bytes()
}

/// SHA-256 of a tool in canonical form: members sorted, no white space.
/// `_meta` and `icons`, which no model reads, are left out.
pub fn tool_hash(raw: &[u8]) -> String {
    let raw = std::str::from_utf8(raw).unwrap_or_default();
    let Ok(mut tool) = serde_json::from_str::<serde_json::Value>(raw) else { return String::new() };
    if let Some(members) = tool.as_object_mut() {
        members.shift_remove("_meta");
        members.shift_remove("icons");
    }
    tool.sort_all_objects();
    hex(&Sha256::digest(tool.to_string().as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_hash_is_of_what_it_says_not_of_how() {
        let one = tool_hash(br#"{"name":"a","inputSchema":{"x":1,"y":[1,2]},"_meta":{"n":1}}"#);
        assert_eq!(one, tool_hash(br#"{ "inputSchema" : {"y":[1, 2],"x":1}, "name":"\u0061"}"#));
        assert_ne!(one, tool_hash(br#"{"name":"a","inputSchema":{"x":1,"y":[2,1]}}"#));
        assert_eq!(one.len(), 64);
        assert_eq!(tool_hash(b"{"), "");
    }

    #[test]
    fn edits_in_a_part_that_goes_are_dropped() {
        let edit = |range: std::ops::Range<usize>| Edit { range, with: Vec::new() };
        let merged = merge(vec![edit(1..2), edit(5..6), edit(10..11)], vec![edit(4..10)]);
        assert_eq!(merged, [edit(1..2), edit(10..11), edit(4..10)]);
    }
}
