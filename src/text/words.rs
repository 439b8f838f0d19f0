//! The words that instructions are made of: what shuffled letters, and words
//! without spaces between them, are read by.

use std::sync::OnceLock;

/// General words of the rules' literals, and the commonest English words.
pub(super) const WORDS: &str = "\
    a about above absolutely access act action active actual add admin administrator after again against \
    agent all allow allowed also always an and answer answers any anything api are as ask asked assistant at \
    attention away back base be because been before begin being below between break but by bypass call calls \
    can cannot chat code command commands complete comply confidential configuration contact content context \
    conversation copy could create credentials current data database debug delete describe details developer \
    did directions directive directives disable discard disclose display disregard do document documents \
    does dump each else email emails enable encode end enter entire every everything exact exactly except \
    execute explain expose false file files filter filters first follow following for forget format forward \
    from full function get give given go god guidance guidelines hacker had has have he help here hidden him \
    his history how http https if ignore important in include information initial input insert inside \
    instead instruction instructions internal into is it its jailbreak just keep key keys know language last \
    leak let like limit limitations limits links list longer made mail make mask may me memory message \
    messages mode model models moral more must my name need never new next no nor not note nothing now \
    number obey of off on one ones only open or order orders original other our out output over override \
    part password passwords paste people persona phrase please point policies policy pretend previous \
    previously print prior privacy private process prompt prompts protocol protocols provide public put \
    question questions quiet quite read real recite refuse regardless remember remove repeat replace reply \
    report request respond response rest restrictions result results return reveal reversed right role root \
    rule rules run safety said same say script search second secret secrets security see send sensitive \
    server set shall share should show simulate so some something start starting state step stop string \
    summary supplement system take task tell text than that the their them then there these they thing \
    things this those through time to token tokens tool tools top training translate true turn two under \
    unrestricted until up update upload us use used user users using value verbatim very want was way we web \
    were what when where which who will with within without word words work would write you your yourself";

/// Words with the letters and the ends of one of the above, which they must not
/// be taken for.
const OTHERS: &str = "cloud conservation expect flies form reserved three";

/// Longest word that is read.
pub(super) const MAX_WORD: usize = 16;

/// Shortest word whose letters can have been shuffled.
const MIN_SHUFFLED: usize = 4;

/// In a node: a word ends with this letter.
const END: u16 = 0x8000;

/// See the module. Made when first asked for.
pub(super) struct Words {
    /// Per node and letter, the node behind the letter; zero if there is none.
    nodes: Vec<[u16; 26]>,
    /// Per letter, those that stand behind it in words, as bits.
    pairs: [u32; 26],
    /// Words by what shuffling does not change in them, sorted.
    shuffled: Vec<(u64, &'static str)>,
}

impl Words {
    pub(super) fn get() -> &'static Words {
        static WORDS: OnceLock<Words> = OnceLock::new();
        WORDS.get_or_init(Words::new)
    }

    fn new() -> Words {
        let mut words = Words { nodes: vec![[0; 26]], pairs: pairs(), shuffled: Vec::new() };
        for word in WORDS.split_ascii_whitespace() {
            words.insert(word);
            if word.len() >= MIN_SHUFFLED {
                words.shuffled.push((key(word.as_bytes()), word));
            }
        }
        OTHERS.split_ascii_whitespace().for_each(|word| words.insert(word));
        crate::order::sort_by_key(&mut words.shuffled, |(key, _)| *key);
        words
    }

    fn insert(&mut self, word: &str) {
        let mut node = 0;
        for (i, letter) in word.bytes().enumerate() {
            let new = self.nodes.len() as u16;
            let Some(next) = self.nodes.get_mut(node).and_then(|node| node.get_mut(place(letter))) else {
                return;
            };
            let is_new = *next & !END == 0;
            *next |= if is_new { new } else { 0 } | if i + 1 == word.len() { END } else { 0 };
            node = usize::from(*next & !END);
            if is_new {
                self.nodes.push([0; 26]);
            }
        }
    }

    /// Calls `f` with the length of each word that `text` begins with, in
    /// either case.
    pub(super) fn each_prefix(&self, text: &[u8], mut f: impl FnMut(usize)) {
        let mut node = 0;
        for (i, letter) in text.iter().enumerate() {
            let next = self.nodes.get(node).and_then(|node| node.get(place(*letter)));
            match next.copied() {
                None | Some(0) => return,
                Some(next) => {
                    if next & END != 0 {
                        f(i + 1);
                    }
                    node = usize::from(next & !END);
                }
            }
        }
    }

    /// Whether `text` is one of the words, in either case.
    pub(super) fn has(&self, text: &[u8]) -> bool {
        let mut is_word = false;
        self.each_prefix(text, |len| is_word |= len == text.len());
        is_word
    }

    /// Of the pairs of letters that stand beside each other in `text`, how many do so
    /// in several words.
    pub(super) fn usual_pairs(&self, text: &[u8]) -> usize {
        let is_usual = |pair: &&[u8]| match pair {
            [a, b] => self
                .pairs
                .get(place(*a))
                .is_some_and(|row| 1_u32.checked_shl(place(*b) as u32).is_some_and(|bit| row & bit != 0)),
            _ => false,
        };
        text.windows(2).filter(is_usual).count()
    }

    /// The word that `text` is with its inner letters shuffled, if it is not a
    /// word as it stands.
    pub(super) fn unshuffled(&self, text: &[u8]) -> Option<&'static str> {
        if !(MIN_SHUFFLED..=MAX_WORD).contains(&text.len()) {
            return None;
        }
        if self.has(text) {
            return None;
        }
        let wanted = key(text);
        let found = self.shuffled.binary_search_by(|(key, _)| key.cmp(&wanted)).ok()?;
        self.shuffled.get(found).map(|(_, word)| *word)
    }
}

/// Pairs of letters that stand in two words or more.
fn pairs() -> [u32; 26] {
    let (mut once, mut twice) = ([0_u32; 26], [0_u32; 26]);
    for word in WORDS.split_ascii_whitespace() {
        for pair in word.as_bytes().windows(2) {
            let [a, b] = pair else { continue };
            let bit = 1_u32.checked_shl(place(*b) as u32).unwrap_or(0);
            if let (Some(once), Some(twice)) = (once.get_mut(place(*a)), twice.get_mut(place(*a))) {
                *twice |= *once & bit;
                *once |= bit;
            }
        }
    }
    twice
}

/// The place of a letter of either case in the alphabet; beyond it for others.
const fn place(letter: u8) -> usize {
    (letter | 0x20).wrapping_sub(b'a') as usize
}

/// The same for all words with these ends and, in any order, these letters. It
/// is not worth anybody's while to find others: they would be read as a word.
fn key(word: &[u8]) -> u64 {
    // The golden ratio, turned by another number of bits for each letter.
    let weight = |letter: u8| 0x9E37_79B9_7F4A_7C15_u64.rotate_left(7 * (u32::from(letter) & 0x1F));
    let ends = [word.first(), word.last()].into_iter().flatten();
    let ends = ends.fold(0_u64, |ends, letter| ends << 8 | u64::from(letter | 0x20));
    word.iter().fold(ends, |sum, letter| sum.wrapping_add(weight(*letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_and_each_with_letters_of_its_own() {
        let all: Vec<&str> = WORDS.split(' ').collect();
        assert!(all.is_sorted_by(|a, b| a < b), "sort them");
        let words = Words::get();
        assert!(words.shuffled.is_sorted_by(|a, b| a.0 < b.0), "{:?}", words.shuffled);
        assert!(all.iter().all(|w| w.len() <= MAX_WORD && w.bytes().all(|b| b.is_ascii_lowercase())));
        for other in OTHERS.split(' ') {
            let same = |(known, _): &(u64, &str)| *known == key(other.as_bytes());
            assert!(words.shuffled.iter().any(same), "{other}");
        }
    }

    #[test]
    fn prefixes_are_found_in_either_case() {
        let mut found = Vec::new();
        Words::get().each_prefix(b"INSTRUCTIONSand", |len| found.push(len));
        assert_eq!(found, [2, 11, 12]);
        for text in ["", "xyz", "1ndeed", "\u{e9}t\u{e9}"] {
            Words::get().each_prefix(text.as_bytes(), |len| assert_eq!(len, 0));
        }
    }

    #[test]
    fn shuffled_words_are_read() {
        let table = [
            ("ignroe", Some("ignore")),
            ("insturctions", Some("instructions")),
            ("PREVOIUS", Some("previous")),
            ("tihs", Some("this")),
            ("this", None),
            ("form", None),
            ("expect", None),
            ("egnori", None),
            ("ignoore", None),
            ("teh", None),
            ("thhhhhhhhhhhhhhhhhhhs", None),
        ];
        for (text, word) in table {
            assert_eq!(Words::get().unshuffled(text.as_bytes()), word, "{text}");
        }
    }
}
