//! The quota machinery against a naive model, at window edges, and on threads.
//!
//! [`Host`] behaves like Envoy's shared data, its traps included: a cas of 0
//! is unconditional, and the cas of a missing key is ignored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::cell::{Slot, decode};
use super::meter::{Change, Limit, Meter};
use super::op::Item;
use super::*;
use crate::limits::{QUOTA_GRACE_MS, QUOTA_SLOTS};

/// Monday, 2026-03-02T00:00:00Z: an edge of every window but the month.
const T0: u64 = 1_772_409_600_000;

#[derive(Default)]
struct Host(Mutex<BTreeMap<String, (Vec<u8>, u32)>>);

/// A cas that Envoy never gives out: see [`apply`].
const NEW: u32 = u32::MAX;

impl Host {
    fn get(&self, key: &str) -> (Option<Vec<u8>>, u32) {
        self.0.lock().unwrap().get(key).map_or((None, NEW), |(bytes, cas)| (Some(bytes.clone()), *cas))
    }

    fn set(&self, key: &str, bytes: Vec<u8>, cas: u32) -> bool {
        let mut map = self.0.lock().unwrap();
        let old = map.get(key).map(|(_, cas)| *cas);
        if cas != 0 && old.is_some_and(|old| old != cas) {
            return false;
        }
        map.insert(key.into(), (bytes, old.unwrap_or(0) + 1));
        true
    }

    fn swap(&self, key: &str, op: &Op, now: u64) -> Outcome {
        loop {
            let (cell, cas) = self.get(key);
            let applied = apply(cell.as_deref(), op, now);
            std::thread::yield_now();
            if applied.cell.is_none_or(|bytes| self.set(key, bytes, cas)) {
                return applied.outcome;
            }
        }
    }

    fn run(&self, sequence: &mut impl Sequence, now: u64) {
        while let Some(step) = sequence.step() {
            let outcome = self.swap(step.key, step.op, now);
            sequence.feed(outcome);
        }
    }

    fn reserve(&self, quotas: &[Quota], subject: &str, ask: u64, now: u64) -> Result<Reserved, Denied> {
        let scope = Scope { subject, group: "g", policy: "p", model: "m" };
        let ask = Amounts { input: ask, ..Amounts::default() };
        let mut r = Reservation::new(quotas, &scope, &ask, &Hasher::new(b"test"));
        self.run(&mut r, now);
        r.finish()
    }

    fn settle(&self, reserved: Reserved, spent: u64, now: u64) -> Vec<Standing> {
        let mut s = reserved.settle(&Amounts { output: spent, ..Amounts::default() });
        self.run(&mut s, now);
        s.finish()
    }

    fn release(&self, reserved: Reserved, now: u64) -> Vec<Standing> {
        let mut s = reserved.release();
        self.run(&mut s, now);
        s.finish()
    }

    fn extend(&self, reserved: Reserved, more: u64, now: u64) -> (Reserved, Result<(), Denied>) {
        let mut e = reserved.extend(&Amounts { output: more, ..Amounts::default() });
        self.run(&mut e, now);
        e.finish()
    }

    fn slots(&self) -> Vec<Slot> {
        self.0.lock().unwrap().values().flat_map(|(bytes, _)| decode(Some(bytes)).unwrap()).collect()
    }
}

fn quotas(json: &str) -> Vec<Quota> {
    let written: Vec<QuotaWritten> = serde_json::from_str(json).unwrap();
    written.iter().map(|w| w.resolve().unwrap()).collect()
}

fn daily(limit: u64) -> Vec<Quota> {
    quotas(&format!(r#"[{{"name":"day","per":"subject","unit":"tokens","limit":{limit},"window":"1d"}}]"#))
}

#[test]
fn life_of_a_reservation() {
    let (host, q) = (Host::default(), daily(100));
    let a = host.reserve(&q, "ann", 60, T0).unwrap();
    let denied = host.reserve(&q, "ann", 41, T0 + 1000).unwrap_err();
    assert_eq!((denied.cause, denied.remaining, denied.retry_after_s), (Cause::Limit, 40, Some(86_399)));
    let _ = host.reserve(&q, "bob", 100, T0).unwrap();
    // Settled below: the rest comes back. Above: it is charged past the limit.
    assert_eq!(host.settle(a, 50, T0)[0].remaining, 50);
    let b = host.reserve(&q, "ann", 50, T0).unwrap();
    let standing = host.settle(b, 80, T0)[0];
    assert_eq!((standing.remaining, standing.charged, standing.reserved), (0, 80, 0));
    assert!(host.reserve(&q, "ann", 0, T0).is_err());
    let too_large = host.reserve(&q, "ann", 101, T0).unwrap_err();
    assert_eq!((too_large.cause, too_large.retry_after_s), (Cause::TooLarge, None));
}

#[test]
fn released_is_as_if_never_asked() {
    let q = quotas(
        r#"[{"name":"a","per":"subject","unit":"tokens","limit":10,"window":"1d"},
            {"name":"b","per":"subject","unit":"requests","limit":1,"window":"1m"},
            {"name":"c","per":["group","model"],"unit":"concurrent","limit":1}]"#,
    );
    let host = Host::default();
    for _ in 0..3 {
        let r = host.reserve(&q, "ann", 10, T0).unwrap();
        assert!(host.reserve(&q, "ann", 0, T0).is_err());
        assert!(host.release(r, T0).iter().all(|s| s.metered && s.remaining == s.limit));
    }
}

#[test]
fn a_later_cell_that_denies_gives_back_the_earlier() {
    let q = quotas(
        r#"[{"name":"s","per":"subject","unit":"tokens","limit":100,"window":"1d"},
            {"name":"g","per":"group","unit":"tokens","limit":50,"window":"1d"},
            {"name":"m","per":"model","unit":"requests","limit":9,"window":"1d"},
            {"name":"p","per":["policy","subject"],"unit":"requests","limit":9,"window":"1h"}]"#,
    );
    let host = Host::default();
    for n in 0..20 {
        let denied = host.reserve(&q, &format!("s{n}"), 51, T0).unwrap_err();
        assert_eq!((denied.quota, denied.remaining, denied.cause), (1, 50, Cause::TooLarge));
    }
    assert!(host.slots().len() > 20, "some cells were taken before the one that denied");
    assert!(host.slots().iter().all(|s| s.used == 0 && s.held == 0), "{:?}", host.slots());
    // Exactly at the limit fits.
    assert!(host.reserve(&q, "s0", 50, T0).is_ok());
}

#[test]
fn edges_of_a_fixed_window() {
    for (window, ms) in
        [("1s", 1000), ("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000), ("1w", 604_800_000)]
    {
        let q =
            quotas(&format!(r#"[{{"name":"q","per":[],"unit":"tokens","limit":10,"window":"{window}"}}]"#));
        let host = Host::default();
        let r = host.reserve(&q, "", 10, T0).unwrap();
        assert_eq!(host.settle(r, 10, T0 + 1)[0].reset_ms, T0 + ms);
        let denied = host.reserve(&q, "", 1, T0 + ms - 1).unwrap_err();
        assert_eq!(denied.retry_after_s, Some(1), "{window}");
        let r = host.reserve(&q, "", 10, T0 + ms).unwrap();
        // A worker that read its clock just before the edge gets no old window.
        assert!(host.reserve(&q, "", 1, T0 + ms - 1).is_err());
        host.release(r, T0 + ms);
    }
}

#[test]
fn a_late_charge_goes_where_it_was_admitted_and_the_excess_to_now() {
    for sliding in [false, true] {
        let text = r#"[{"name":"q","per":[],"unit":"tokens","limit":100,"window":"1m","sliding":SLIDING}]"#;
        let q = quotas(&text.replace("SLIDING", &sliding.to_string()));
        let host = Host::default();
        let r = host.reserve(&q, "", 80, T0).unwrap();
        // One window later, at its start: 80 charged there, 7 here.
        let left = host.settle(r, 87, T0 + 60_000)[0].remaining;
        assert_eq!(left, if sliding { 13 } else { 93 });
        let r = host.reserve(&q, "", 10, T0 + 60_000).unwrap();
        // Three windows later the one of admission is gone.
        assert_eq!(host.settle(r, 12, T0 + 240_000)[0].remaining, 98);
        assert!(host.slots().iter().all(|s| s.held + s.prev_held == 0));
    }
}

#[test]
fn extensions_hold_in_the_window_they_are_asked_in() {
    let q = quotas(r#"[{"name":"q","per":[],"unit":"tokens","limit":100,"window":"1m"}]"#);
    let host = Host::default();
    let r = host.reserve(&q, "", 60, T0).unwrap();
    let (r, ok) = host.extend(r, 40, T0 + 1);
    assert_eq!(ok, Ok(()));
    let (r, denied) = host.extend(r, 1, T0 + 2);
    assert_eq!(denied.unwrap_err().remaining, 0);
    // The next minute: what was held so far stays spent in the old one.
    let (r, ok) = host.extend(r, 100, T0 + 60_000);
    assert_eq!(ok, Ok(()));
    assert_eq!(r.standings()[0].reserved, 200);
    let standing = host.settle(r, 130, T0 + 60_001)[0];
    assert_eq!((standing.remaining, standing.charged), (70, 130));
    assert!(host.slots().iter().all(|s| s.held == 0 && s.prev_held == 0 && s.used == 30));
}

#[test]
fn an_extension_that_one_quota_denies_changes_none() {
    let q = quotas(
        r#"[{"name":"s","per":"subject","unit":"tokens","limit":100,"window":"1d"},
            {"name":"g","per":"group","unit":"output_tokens","limit":50,"window":"1d"}]"#,
    );
    for subject in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let host = Host::default();
        let r = host.reserve(&q, subject, 10, T0).unwrap();
        let (r, denied) = host.extend(r, 51, T0);
        assert_eq!(denied.unwrap_err().quota, 1);
        assert_eq!(r.standings().iter().map(|s| s.reserved).collect::<Vec<_>>(), [10, 0]);
        let left: Vec<u64> = host.settle(r, 10, T0).iter().map(|s| s.remaining).collect();
        assert_eq!(left, [90, 40]);
    }
}

#[test]
fn sliding_window_fades() {
    let q = quotas(r#"[{"name":"q","per":[],"unit":"tokens","limit":100,"window":"1m","sliding":true}]"#);
    let host = Host::default();
    let r = host.reserve(&q, "", 100, T0).unwrap();
    host.settle(r, 100, T0);
    let denied = host.reserve(&q, "", 1, T0 + 60_000).unwrap_err();
    assert_eq!(denied.retry_after_s, Some(1));
    // 100 * 45 s / 60 s = 75 still weigh.
    assert!(host.reserve(&q, "", 26, T0 + 75_000).is_err());
    let r = host.reserve(&q, "", 25, T0 + 75_000).unwrap();
    // retry-after is kept: 40 fit when the old weigh 35, at 39 s into the window.
    let denied = host.reserve(&q, "", 40, T0 + 75_000).unwrap_err();
    assert_eq!(denied.retry_after_s, Some(24));
    assert!(host.reserve(&q, "", 40, T0 + 98_000).is_err());
    host.release(r, T0 + 75_000);
    let r = host.reserve(&q, "", 65, T0 + 99_000).unwrap();
    // Over a window edge: 65 weigh 35 after 27.7 s.
    host.settle(r, 65, T0 + 99_000);
    let denied = host.reserve(&q, "", 65, T0 + 119_000).unwrap_err();
    assert_eq!(denied.retry_after_s, Some(29));
    assert!(host.reserve(&q, "", 65, T0 + 148_000).is_ok());
}

#[test]
fn concurrency_is_forgotten_after_two_leases_unless_renewed() {
    let q = quotas(r#"[{"name":"c","per":"subject","unit":"concurrent","limit":2,"window":"10m"}]"#);
    let host = Host::default();
    let crashed = host.reserve(&q, "ann", 0, T0 + 5).unwrap();
    let mut long = host.reserve(&q, "ann", 0, T0 + 5).unwrap();
    assert_eq!(host.reserve(&q, "ann", 0, T0 + 5).unwrap_err().retry_after_s, Some(1));
    drop(crashed);
    for minute in [9, 19, 29] {
        (long, _) = host.extend(long, 0, T0 + minute * 60_000);
    }
    let r = host.reserve(&q, "ann", 0, T0 + 29 * 60_000).unwrap();
    assert!(host.reserve(&q, "ann", 0, T0 + 29 * 60_000).is_err(), "the renewed one still counts");
    host.release(r, T0 + 29 * 60_000);
    host.settle(long, 5, T0 + 30 * 60_000);
    assert!(host.slots().iter().all(|s| s.held + s.prev_held + s.used == 0));
}

#[test]
fn token_bucket_refills() {
    let q = quotas(r#"[{"name":"r","per":"subject","unit":"requests","limit":10,"window":"1s","burst":5}]"#);
    let host = Host::default();
    for n in (0..5).rev() {
        let r = host.reserve(&q, "ann", 0, T0).unwrap();
        // An arrival is not given back, however the call ends.
        assert_eq!(host.release(r, T0)[0].remaining, n);
    }
    assert_eq!(host.reserve(&q, "ann", 0, T0).unwrap_err().retry_after_s, Some(1));
    assert!(host.reserve(&q, "ann", 0, T0 + 99).is_err());
    let r = host.reserve(&q, "ann", 0, T0 + 100).unwrap();
    host.settle(r, 0, T0 + 100);
    assert!(host.reserve(&q, "ann", 0, T0 + 100).is_err());
    let admitted = (0..1000).filter(|ms| host.reserve(&q, "ann", 0, T0 + 100 + ms).is_ok()).count();
    assert_eq!(admitted, 9, "10 a second, the first at 200 ms");
}

#[test]
fn a_bucket_takes_back_an_arrival_that_another_quota_denied() {
    let q = quotas(
        r#"[{"name":"r","per":"subject","unit":"requests","limit":1,"window":"1h","burst":1},
            {"name":"t","per":"group","unit":"tokens","limit":5,"window":"1h"}]"#,
    );
    for subject in ["a", "b", "c", "d"] {
        let host = Host::default();
        assert!(host.reserve(&q, subject, 6, T0).is_err());
        assert!(host.reserve(&q, subject, 5, T0).is_ok());
    }
}

#[test]
fn a_looping_agent_is_stopped_and_others_are_not() {
    let q = quotas(
        r#"[{"name":"loop","per":"subject","unit":"repeats","limit":3,"window":"5m"},
            {"name":"t","per":"subject","unit":"tokens","limit":1000,"window":"1d"}]"#,
    );
    let host = Host::default();
    let send = |subject: &str, prompt: &str, now: u64| {
        let scope = Scope { subject, ..Scope::default() };
        let ask = Amounts { input: 10, ..Amounts::default() };
        let mut r = Reservation::new(&q, &scope, &ask, &Hasher::new(b"k"))
            .with_prompt(repeats::fingerprint(prompt.as_bytes()));
        host.run(&mut r, now);
        let settled = r.finish().map(|held| host.settle(held, 10, now));
        settled.map(|s| s.iter().map(|s| (s.remaining, s.charged)).collect::<Vec<_>>())
    };
    for (left, tokens) in [(2, 990), (1, 980), (0, 970)] {
        let standings = send("ann", "retry job 17 and report what it says", T0).unwrap();
        assert_eq!(standings, [(left, 0), (tokens, 10)]);
    }
    let denied = send("ann", "Retry job 18, and report what it says!", T0 + 1000).unwrap_err();
    assert_eq!((denied.quota, denied.cause, denied.retry_after_s), (0, Cause::Limit, Some(299)));
    assert!(send("ann", "what is the weather in Oslo like", T0).is_ok());
    assert!(send("bob", "retry job 17 and report what it says", T0).is_ok());
    assert!(send("ann", "retry job 17 and report what it says", T0 + 300_000).is_ok());
    // No prompt, no count.
    assert!((0..9).all(|_| send("ann", "", T0).is_ok()));
}

#[test]
fn monitor_counts_and_tells_but_admits() {
    let q = quotas(
        r#"[{"name":"m","per":"subject","unit":"tokens","limit":10,"window":"1d","monitor":true},
            {"name":"b","per":"subject","unit":"requests","limit":1,"window":"1d","burst":1,"monitor":true}]"#,
    );
    let host = Host::default();
    let _ = host.reserve(&q, "ann", 8, T0).unwrap();
    let r = host.reserve(&q, "ann", 8, T0).unwrap();
    assert_eq!(r.standings().iter().map(|s| s.over).collect::<Vec<_>>(), [true, true]);
    host.settle(r, 8, T0);
    assert_eq!(host.slots().iter().map(|s| s.used).filter(|&u| u < T0).sum::<u64>(), 8);
}

fn item(n: u8, change: Change, enforced: bool) -> Op {
    let limit = Limit { most: 10, enforced };
    Op { items: vec![Item { id: [n; 16], meter: Meter::Fixed(Window::Millis(1000)), limit, change }] }
}

#[test]
fn a_full_cell_denies_and_dead_counters_make_room() {
    let mut cell = None;
    let reserve = Change::Reserve { amount: 1 };
    for n in 0..QUOTA_SLOTS {
        cell = apply(cell.as_deref(), &item(n as u8, reserve, true), T0).cell;
        assert!(cell.is_some());
    }
    let later = T0 + 999 + QUOTA_GRACE_MS;
    for now in [T0, later] {
        let full = apply(cell.as_deref(), &item(99, reserve, true), now);
        assert_eq!(full, Applied { cell: None, outcome: Outcome::Fault(Fault::TableFull) });
        // Known counters go on.
        assert!(matches!(apply(cell.as_deref(), &item(0, reserve, true), now).outcome, Outcome::Done(_)));
        // Monitored ones, and late charges, go without a place and say so.
        let settle = Change::Settle { window: 0, held: 1, charge: 5 };
        for op in [item(99, reserve, false), item(99, settle, true)] {
            assert_eq!(apply(cell.as_deref(), &op, now).outcome, Outcome::Done(vec![None]));
        }
    }
    let applied = apply(cell.as_deref(), &item(99, reserve, true), later + 1);
    assert!(matches!(applied.outcome, Outcome::Done(_)));
    assert_eq!(decode(applied.cell.as_deref()).unwrap().len(), 1);
}

#[test]
fn a_damaged_cell_denies_and_is_left_alone() {
    let (host, q) = (Host::default(), daily(100));
    let r = host.reserve(&q, "ann", 1, T0).unwrap();
    for (bytes, _) in host.0.lock().unwrap().values_mut() {
        bytes[20] ^= 1;
    }
    let denied = host.reserve(&q, "ann", 1, T0).unwrap_err();
    assert_eq!(denied.cause, Cause::Fault(Fault::Corrupt));
    assert!(!host.settle(r, 1, T0)[0].metered);
}

#[test]
fn a_reload_with_another_limit_keeps_the_use() {
    let host = Host::default();
    let r = host.reserve(&daily(100), "ann", 60, T0).unwrap();
    assert!(host.reserve(&daily(59), "ann", 1, T0).is_err());
    assert!(host.reserve(&daily(200), "ann", 140, T0).is_ok());
    host.settle(r, 60, T0);
    assert!(host.reserve(&daily(200), "ann", 1, T0).is_err());
}

#[test]
fn a_clock_that_was_wrong_does_not_block_for_ever() {
    let (host, q) = (Host::default(), daily(100));
    let r = host.reserve(&q, "ann", 30, T0 + 400 * 86_400_000).unwrap();
    // The clock is right again: the use is kept, and ends with today.
    assert_eq!(host.reserve(&q, "ann", 71, T0).unwrap_err().retry_after_s, Some(86_400));
    assert_eq!(host.settle(r, 20, T0)[0].remaining, 80);
    assert!(host.reserve(&q, "ann", 100, T0 + 86_400_000).is_ok());
}

#[test]
fn a_sequence_that_is_not_run_admits_nothing() {
    let q = daily(10);
    let r = Reservation::new(&q, &Scope::default(), &Amounts::default(), &Hasher::new(b""));
    assert_eq!(r.finish().unwrap_err().cause, Cause::Fault(Fault::Host));
    let many: Vec<Quota> = (0..65).map(|_| q[0].clone()).collect();
    assert_eq!(Host::default().reserve(&many, "a", 0, T0).unwrap_err().cause, Cause::Fault(Fault::TooMany));
    assert!(Host::default().reserve(&[], "a", 5, T0).is_ok());
}

#[test]
fn names_stay_out_of_keys_and_cells() {
    let host = Host::default();
    let _ = host.reserve(&daily(10), "ann@example.com", 5, T0).unwrap();
    for (key, (bytes, _)) in host.0.lock().unwrap().iter() {
        assert!(!key.contains("ann") && !bytes.windows(3).any(|w| w == b"ann"));
    }
}

#[test]
fn refuses_quotas_that_make_no_sense() {
    for (json, why) in [
        (r#"{"name":"","per":[],"unit":"tokens","limit":1,"window":"1d"}"#, "name"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":1.5,"window":"1d"}"#, "limit"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":-1,"window":"1d"}"#, "limit"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":1}"#, "window"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":1,"window":"1y"}"#, "window"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":1,"window":"1d","burst":2}"#, "burst"),
        (r#"{"name":"q","per":[],"unit":"requests","limit":1,"window":"1month","burst":2}"#, "burst"),
        (r#"{"name":"q","per":[],"unit":"concurrent","limit":1,"sliding":true}"#, "sliding"),
        (r#"{"name":"q","per":[],"unit":"tokens","limit":1,"window":"1d","cached_percent":101}"#, "cached"),
    ] {
        let written: QuotaWritten = serde_json::from_str(json).unwrap();
        assert!(written.resolve().unwrap_err().starts_with(why), "{json}");
    }
    let cost: QuotaWritten = serde_json::from_str(
        r#"{"name":"q","per":"policy","unit":"cost_usd","limit":12.5,"window":"1month"}"#,
    )
    .unwrap();
    assert_eq!(cost.resolve().unwrap().limit.most, 12_500_000_000);
}

#[test]
fn units_take_their_share() {
    let amounts = Amounts { input: 1000, cached: 900, output: 50, cost_nano: 7 };
    for (unit, percent, n) in [
        (Unit::Tokens, 100, 1050),
        (Unit::Tokens, 10, 240),
        (Unit::InputTokens, 0, 100),
        (Unit::OutputTokens, 0, 50),
        (Unit::CostUsd, 0, 7),
        (Unit::Requests, 0, 1),
    ] {
        assert_eq!(unit.of(&amounts, percent), n, "{unit:?} {percent}");
    }
    // A provider that reports nonsense does not overflow.
    let wild = Amounts { input: u64::MAX, cached: u64::MAX, output: u64::MAX, cost_nano: 0 };
    assert_eq!(Unit::Tokens.of(&wild, 50), u64::MAX);
}

#[cfg(not(target_arch = "wasm32"))]
mod threads {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn sixty_four_at_once_never_pass_the_limit() {
        let q = quotas(
            r#"[{"name":"r","per":"subject","unit":"requests","limit":10,"window":"1m"},
                {"name":"t","per":"subject","unit":"tokens","limit":1000,"window":"1d"}]"#,
        );
        for round in 0..20 {
            let (host, admitted) = (Host::default(), AtomicU64::new(0));
            let barrier = std::sync::Barrier::new(64);
            std::thread::scope(|s| {
                for _ in 0..64 {
                    s.spawn(|| {
                        barrier.wait();
                        if host.reserve(&q, "ann", 5, T0).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(admitted.into_inner(), 10, "round {round}");
        }
    }

    #[test]
    fn charged_is_what_was_spent_and_nothing_stays_held() {
        let q = quotas(
            r#"[{"name":"t","per":"subject","unit":"tokens","limit":40000,"window":"1d"},
                {"name":"g","per":"group","unit":"tokens","limit":50000,"window":"1d"},
                {"name":"c","per":"subject","unit":"concurrent","limit":20}]"#,
        );
        let (host, spent, running) = (Host::default(), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|s| {
            for thread in 0..64_u64 {
                let (host, q, spent, running) = (&host, &q, &spent, &running);
                s.spawn(move || {
                    let subject = if thread % 2 == 0 { "even" } else { "odd" };
                    for i in 0..30 {
                        let Ok(mut r) = host.reserve(q, subject, 40, T0) else { continue };
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 40);
                        let mut held = 40;
                        if i % 3 == 0 {
                            let granted;
                            (r, granted) = host.extend(r, 30, T0);
                            held += if granted.is_ok() { 30 } else { 0 };
                        }
                        running.fetch_sub(1, Ordering::SeqCst);
                        if i % 5 == 0 {
                            host.release(r, T0);
                        } else {
                            let actual = held - thread % 7;
                            spent.fetch_add(actual, Ordering::Relaxed);
                            host.settle(r, actual, T0);
                        }
                    }
                });
            }
        });
        let slots = host.slots();
        assert!(slots.iter().all(|s| s.held == 0 && s.prev_held == 0), "{slots:?}");
        // Once by subject, once by group.
        let spent = spent.into_inner();
        assert_eq!(slots.iter().map(|s| s.used).sum::<u64>(), 2 * spent);
        assert!(spent > 1000 && spent <= 50_000, "{spent}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod interleaved {
    //! Workers that advance by one read or one swap at a time, in any order.
    use super::*;
    use proptest::prelude::*;

    /// Counters without rollover, slots or bytes: used and held by window.
    #[derive(Default)]
    struct Model(BTreeMap<[u8; 16], BTreeMap<u64, (i128, i128)>>);

    impl Model {
        fn commit(&mut self, item: &Item, now: u64) {
            let (window, lease) = match item.meter {
                Meter::Fixed(w) | Meter::Sliding(w) => (w, false),
                Meter::Lease { ms } => (Window::Millis(ms), true),
                Meter::Bucket { .. } | Meter::Repeats(_) => return,
            };
            let bounds = window.at(now);
            let counter = self.0.entry(item.id).or_default();
            let mut add = |window: u64, used: i128, held: i128| {
                let entry = counter.entry(window).or_default();
                *entry = (entry.0 + used, entry.1 + held);
                assert!(entry.1 >= 0, "gave back more than was held");
            };
            let mut admits = true;
            match item.change {
                Change::Reserve { amount } => add(bounds.index, 0, amount.into()),
                Change::Extend { window, held, more } => {
                    if lease {
                        add(window, 0, -i128::from(held));
                        add(bounds.index, 0, held.into());
                        admits = false;
                    } else {
                        if window < bounds.index {
                            add(window, held.into(), -i128::from(held));
                        }
                        add(bounds.index, 0, more.into());
                    }
                }
                Change::Settle { window, held, charge } => {
                    let within = if lease { 0 } else { charge.min(held) };
                    add(window, within.into(), -i128::from(held));
                    add(bounds.index, if lease { 0 } else { (charge - within).into() }, 0);
                    admits = false;
                }
                Change::Cancel { window, amount } => {
                    add(window, 0, -i128::from(amount));
                    admits = false;
                }
            }
            let load = |index: u64| counter.get(&index).map_or(0, |(used, held)| used + held);
            let before = bounds.index.checked_sub(1).map_or(0, load);
            let weight = match item.meter {
                Meter::Sliding(_) => {
                    let len = i128::from(bounds.end - bounds.start);
                    (before * i128::from(bounds.end - now) + len - 1) / len
                }
                Meter::Lease { .. } => before,
                _ => 0,
            };
            assert!(
                !admits || load(bounds.index) + weight <= item.limit.most.into(),
                "{item:?} passed its limit"
            );
        }
    }

    enum Job {
        Idle,
        Holds(Reserved),
        Reserving(Reservation),
        Extending(Extension),
        Settling(Settlement),
    }

    struct Worker {
        job: Job,
        /// Cell as read, what it would become, and when.
        read: Option<(String, Op, u32, Applied, u64)>,
    }

    impl Worker {
        fn sequence(&mut self) -> Option<&mut dyn Sequence> {
            match &mut self.job {
                Job::Reserving(s) => Some(s),
                Job::Extending(s) => Some(s),
                Job::Settling(s) => Some(s),
                Job::Idle | Job::Holds(_) => None,
            }
        }

        /// One read, or one attempt to swap.
        fn advance(&mut self, host: &Host, model: &mut Model, now: u64) {
            if let Some((key, op, cas, applied, read_at)) = self.read.take() {
                let committed = applied.cell.is_none_or(|bytes| host.set(&key, bytes, cas));
                if !committed {
                    return;
                }
                if let Outcome::Done(_) = applied.outcome {
                    op.items.iter().for_each(|item| model.commit(item, read_at));
                }
                return self.sequence().unwrap().feed(applied.outcome);
            }
            let Some(step) = self.sequence().unwrap().step() else {
                self.job = match std::mem::replace(&mut self.job, Job::Idle) {
                    Job::Reserving(s) => s.finish().map_or(Job::Idle, Job::Holds),
                    Job::Extending(s) => Job::Holds(s.finish().0),
                    _ => Job::Idle,
                };
                return;
            };
            let (key, op) = (step.key.to_owned(), step.op.clone());
            let (cell, cas) = host.get(&key);
            let applied = apply(cell.as_deref(), &op, now);
            self.read = Some((key, op, cas, applied, now));
        }

        fn begin(&mut self, q: &[Quota], hasher: &Hasher, choice: u32) {
            let n = u64::from(choice >> 8 & 0x3f);
            let amounts = Amounts { input: n / 2, output: n, ..Amounts::default() };
            self.job = match std::mem::replace(&mut self.job, Job::Idle) {
                Job::Holds(r) => match choice >> 14 & 3 {
                    0 => Job::Extending(r.extend(&amounts)),
                    1 => Job::Settling(r.release()),
                    _ => Job::Settling(r.settle(&amounts)),
                },
                _ => {
                    let subject = ["ann", "bob"][choice as usize >> 14 & 1];
                    let scope = Scope { subject, group: "g", policy: "p", model: "m" };
                    Job::Reserving(Reservation::new(q, &scope, &amounts, hasher))
                }
            };
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn workers_never_pass_a_limit(choices in prop::collection::vec(any::<u32>(), 1..600)) {
            let q = quotas(
                r#"[{"name":"a","per":"subject","unit":"tokens","limit":150,"window":"2s"},
                    {"name":"b","per":"subject","unit":"requests","limit":4,"window":"1s","sliding":true},
                    {"name":"c","per":"group","unit":"output_tokens","limit":200,"window":"3s","sliding":true},
                    {"name":"d","per":["policy"],"unit":"concurrent","limit":4,"window":"1h"}]"#,
            );
            let (host, hasher) = (Host::default(), Hasher::new(b"k"));
            let (mut model, mut now) = (Model::default(), T0);
            let mut workers: Vec<Worker> = (0..6).map(|_| Worker { job: Job::Idle, read: None }).collect();
            for choice in choices {
                if choice & 0x80 != 0 {
                    now += u64::from(choice >> 16 & 0x1ff);
                }
                let worker = &mut workers[(choice as usize & 0x7f) % 6];
                if worker.sequence().is_none() {
                    worker.begin(&q, &hasher, choice);
                }
                worker.advance(&host, &mut model, now);
            }
            for worker in &mut workers {
                while worker.sequence().is_some() || matches!(worker.job, Job::Holds(_)) {
                    if worker.sequence().is_none() {
                        worker.begin(&q, &hasher, 0x8000_8000);
                    }
                    worker.advance(&host, &mut model, now);
                }
            }
            for slot in host.slots() {
                let counter = &model.0[&slot.id];
                let expected = counter.get(&slot.index).copied().unwrap_or_default();
                prop_assert_eq!((i128::from(slot.used), i128::from(slot.held)), expected);
                prop_assert_eq!((slot.held, slot.prev_held), (0, 0));
            }
            for counter in model.0.values() {
                prop_assert!(counter.values().all(|(_, held)| *held == 0), "all is given back");
            }
        }
    }
}
