//! Portcullis: a security checkpoint for LLM and agent traffic inside Envoy.
//!
//! Data flows one way; `ARCHITECTURE.md` draws it. The modules, in flow order:
//!
//! | module | takes | gives |
//! |---|---|---|
//! | [`wire`] | bytes of a body or of a stream | spans of text, model, usage; edits back into bytes |
//! | [`text`] | spans | cleaned and decoded views of text, mapped to source bytes |
//! | [`detect`] | a text and a rule set | matches |
//! | [`rules`] | rule packs as written | a checked rule set |
//! | [`quota`] | what a request asks, what a call spent | admitted or denied; shared cells with compare-and-swap |
//! | [`baseline`] | what a call names and spends | what of it is out of the ordinary |
//! | [`policy`] | an identity, a finding | the policy that applies, the action |
//! | [`approval`] | a call that needs consent, a service's answer | what to ask, and what was decided |
//! | [`config`] | the operator's JSON | everything above, checked and compiled |
//! | [`audit`] | all decisions | one line without matched text |
//! | [`session`] | events of one HTTP exchange | commands for the host |
//! | [`limits`] | | every cap, with its reason |
//! | [`lanes`] | 64 bytes | which of them are of a class |
//! | [`order`] | a list | the list, sorted by little code |

// Unit tests run in Node, unchanged: see tests/node.
#[cfg(all(test, target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate portcullis_node_test;

pub mod approval;
pub mod audit;
pub mod baseline;
pub mod config;
pub mod detect;
#[cfg(all(target_arch = "wasm32", not(feature = "no-abi")))]
mod host;
pub mod lanes;
pub mod limits;
pub mod order;
pub mod policy;
pub mod quota;
pub mod rules;
pub mod session;
pub mod text;
pub mod wire;
