//! Against a search without any filter, and at the ends of texts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::rules::{RUN, in_run, is_operator};

#[test]
fn open_ends() {
    let literal = |text: &str| Literal {
        text: text.into(),
        unit: 0,
        at_boundary: text != "pass",
        gate: Gate::Open,
        next: ByteSet::ALL,
    };
    let literals = Literals::new(["ignore", "ignorance", "pass"].map(literal).into());
    for (text, want) in [
        ("please ig", Some(7)),
        ("please IGNO", Some(7)),
        ("please ignor", Some(7)),
        ("please ignore", None),
        ("please ignora", Some(7)),
        ("i", Some(0)),
        ("", None),
        ("pass", None),
        ("papa", Some(2)),
        ("ignip", Some(4)),
        ("xig", None),
        (".ig", Some(1)),
    ] {
        assert_eq!(literals.open_at_end(text.as_bytes(), 0), want, "{text}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2048))]
    /// Against a search without any filter.
    #[test]
    fn finds_what_a_naive_search_finds(
        literals in proptest::collection::vec("[a-c@`é]{2,6}", 1..20),
        text in "[a-cA-C@`é ]{0,200}",
    ) {
        let lower: Vec<Vec<u8>> = literals.iter().map(|l| l.to_ascii_lowercase().into_bytes()).collect();
        let literal = |(text, unit): (&Vec<u8>, u16)| Literal { text: text.clone(), unit, at_boundary: false, gate: Gate::Open, next: ByteSet::ALL };
        let filter = Literals::new(lower.iter().zip(0..).map(literal).collect());
        let text = text.as_bytes();
        let mut want = Vec::new();
        for at in 0..text.len() {
            for (unit, literal) in (0..).zip(&lower) {
                if text[at..].to_ascii_lowercase().starts_with(literal) {
                    want.push((at, unit));
                }
            }
        }
        for cut in [0, 1, 7, 63, 64, 65, 130, 200] {
            let cut = cut.min(text.len());
            let mut got = Vec::new();
            filter.scan(text, 0, cut, true, |at, unit| got.push((at, unit)));
            filter.scan(text, cut, text.len(), true, |at, unit| got.push((at, unit)));
            got.sort_unstable();
            want.sort_unstable();
            proptest::prop_assert_eq!(&got, &want);
        }
    }

    /// What must be found is: the literal stands there and its gate is not known to
    /// be shut. And nothing else than literals is.
    #[test]
    fn gates_hide_nothing_that_can_match(
        literals in proptest::collection::vec(("[a-c_=]{3,9}", proptest::bool::ANY, 0..3_u8), 1..12),
        pieces in proptest::collection::vec("(?:[a-c]{1,9}|[a-c_=-]{14,20}|[ :,=]{1,4}| {20,90})", 0..12),
        at_end in proptest::bool::ANY,
    ) {
        let literals: Vec<Literal> = literals.iter().zip(0..).map(|((text, at_boundary, gate), unit)| {
            let gate = [Gate::Open, Gate::Operator, Gate::Run][usize::from(*gate)];
            Literal { text: text.as_bytes().into(), unit, at_boundary: *at_boundary, gate, next: ByteSet::ALL }
        }).collect();
        let text = pieces.concat().into_bytes();
        let mut got = Vec::new();
        let filter = Literals::new(literals.clone());
        filter.scan(&text, 0, text.len(), at_end, |at, unit| got.push((at, unit)));
        for at in 0..text.len() {
            for literal in &literals {
                let stands = text[at..].starts_with(&literal.text);
                let inside = at > 0 && is_word(text[at - 1]) && is_word(text[at]);
                let near = |reach: usize| &text[at..(at + reach).min(text.len())];
                let open = match literal.gate {
                    Gate::Open => true,
                    Gate::Operator => {
                        near(OPERATOR_REACH).iter().any(|b| is_operator(*b)) || !at_end && at + OPERATOR_REACH > text.len()
                    }
                    Gate::Run => {
                        near(RUN_REACH).windows(RUN).any(|run| run.iter().all(|b| in_run(*b)))
                            || !at_end && at + RUN_REACH > text.len()
                    }
                };
                let found = got.contains(&(at, literal.unit));
                if stands && open && !(inside && literal.at_boundary) {
                    proptest::prop_assert!(found, "{:?} at {at}", literal.text);
                }
                proptest::prop_assert!(stands || !found, "{:?} at {at}", literal.text);
            }
        }
    }
}
