//! Characters that show nothing, or only change how others are shown.

/// What a character does, as far as folding cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A visible character, or one nothing is known about.
    Other,
    /// The escape character that opens a terminal control sequence.
    Escape,
    /// Any other control character.
    Control,
    /// Shows nothing anywhere.
    ZeroWidth,
    /// ZWNJ and ZWJ: show nothing, shape their neighbours.
    Joiner,
    /// LRM, RLM, ALM: ordinary in right-to-left text.
    BidiMark,
    /// Embeddings, isolates and their ends.
    Bidi,
    /// Right-to-left override: what follows is shown backwards.
    BidiReversed,
    /// Chooses the shape of the character before it.
    VariationSelector,
    /// Tag characters.
    Tag,
    /// Combining marks shared by all scripts.
    Mark,
    /// Letters that make flags in pairs.
    RegionalIndicator,
}

/// The kind of `c`.
pub(super) fn kind(c: char) -> Kind {
    match c as u32 {
        0x1B => Kind::Escape,
        0x09 | 0x0A | 0x0D | 0x20..=0x7E | 0x85 => Kind::Other,
        0x00..=0x9F => Kind::Control,
        0xAD
        | 0x34F
        | 0x115F
        | 0x1160
        | 0x17B4
        | 0x17B5
        | 0x180B..=0x180F
        | 0x200B
        | 0x2060..=0x2065
        | 0x206A..=0x206F
        | 0x3164
        | 0xFEFF
        | 0xFFA0
        | 0xFFF0..=0xFFFB
        | 0x1D173..=0x1D17A => Kind::ZeroWidth,
        0x200C | 0x200D => Kind::Joiner,
        0x61C | 0x200E | 0x200F => Kind::BidiMark,
        0x202A..=0x202D | 0x2066..=0x2069 => Kind::Bidi,
        0x202E => Kind::BidiReversed,
        0xFE00..=0xFE0F | 0xE0100..=0xE01EF => Kind::VariationSelector,
        0xE0000..=0xE007F => Kind::Tag,
        0x300..=0x36F
        | 0x483..=0x489
        | 0x1AB0..=0x1AFF
        | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF
        | 0xFE20..=0xFE2F => Kind::Mark,
        0x1F1E6..=0x1F1FF => Kind::RegionalIndicator,
        _ => Kind::Other,
    }
}

/// The ASCII character a tag character mirrors.
pub(super) fn tag_to_ascii(c: char) -> Option<char> {
    let code = (c as u32).checked_sub(0xE0000)?;
    char::from_u32(code).filter(|c| matches!(c, ' '..='~' | '\t' | '\n'))
}

/// The byte a variation selector stands for where text is hidden in a row of
/// them: VS1..VS16 are 0..15, VS17..VS256 are 16..255.
pub(super) fn variation_byte(c: char) -> Option<u8> {
    let c = c as u32;
    let byte = if c < 0xE0100 { c.checked_sub(0xFE00)? } else { c - 0xE0100 + 16 };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_alphabets_mirror_ascii() {
        assert_eq!(tag_to_ascii('\u{E0041}'), Some('A'));
        assert_eq!(tag_to_ascii('\u{E0001}'), None);
        assert_eq!(tag_to_ascii('A'), None);
        assert_eq!(variation_byte('\u{FE0F}'), Some(15));
        assert_eq!(variation_byte('\u{E0139}'), Some(b'I'));
        assert_eq!(variation_byte('a'), None);
    }
}
