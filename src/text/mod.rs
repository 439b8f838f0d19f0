//! Spans of text, and views of them.
//!
//! A [`Span`] says where text lies in a document and how its bytes encode it.
//! Everything a model or an agent can read becomes a span. [`views`] gives
//! what a text says once disguises and encodings are taken off, mapped back to
//! the bytes it was made from.

pub mod escape;

mod cipher;
mod decode;
mod excerpt;
mod fold;
mod fold_table;
mod invisible;
mod join;
mod leet;
mod shuffle;
mod span;
mod step;
mod traits;
mod transforms;
mod unspaced;
mod view;
mod words;

pub use span::{Encoding, Span, SpanKind};
pub use traits::{Traits, classify};
pub use transforms::Transforms;
pub use view::{Outcome, Scratch, View, views, views_of_part};
