//! What can be out of the ordinary.

/// A kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    NewModel,
    NewServedModel,
    NewTool,
    NewMcpServer,
    UnusualHour,
    Spend,
    Rate,
}

/// How many kinds there are.
pub const KINDS: usize = 7;

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; KINDS] = [
        Kind::NewModel,
        Kind::NewServedModel,
        Kind::NewTool,
        Kind::NewMcpServer,
        Kind::UnusualHour,
        Kind::Spend,
        Kind::Rate,
    ];

    /// Id of the finding.
    pub const fn id(self) -> &'static str {
        match self {
            Kind::NewModel => "anomaly.new_model",
            Kind::NewServedModel => "anomaly.new_served_model",
            Kind::NewTool => "anomaly.new_tool",
            Kind::NewMcpServer => "anomaly.new_mcp_server",
            Kind::UnusualHour => "anomaly.unusual_hour",
            Kind::Spend => "anomaly.spend",
            Kind::Rate => "anomaly.rate",
        }
    }

    /// Name in configurations.
    pub fn name(self) -> &'static str {
        self.id().strip_prefix("anomaly.").unwrap_or_default()
    }
}

/// A set of kinds, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Put one in.
    pub const fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether one is in.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    /// Whether some kind is in both.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether none is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Names that a sketch keeps apart, by the letter in front of each: one list of
/// strings is less code than six.
pub mod tag {
    /// Models asked for, as sent upstream.
    pub const MODEL: char = 'm';
    /// Models that answered.
    pub const SERVED: char = 'v';
    /// MCP servers.
    pub const SERVER: char = 's';
    /// Tools called over MCP, `server/tool`.
    pub const MCP_TOOL: char = 'p';
    /// Tools offered to a model.
    pub const OFFERED: char = 'o';
    /// Tools that a model called: one may be offered for a year, and never be.
    pub const CALLED: char = 'c';
}

/// A name as a sketch keeps it.
#[inline(never)]
pub fn tagged(tag: char, name: &str) -> String {
    let mut text = name.to_owned();
    text.insert(0, tag);
    text
}

/// The name without its tag.
pub fn bare(tagged: &str) -> &str {
    tagged.get(1..).unwrap_or_default()
}

/// What a name is that is not known.
pub fn kind_of(tagged: &str) -> Kind {
    match tagged.chars().next() {
        Some(tag::MODEL) => Kind::NewModel,
        Some(tag::SERVED) => Kind::NewServedModel,
        Some(tag::SERVER) => Kind::NewMcpServer,
        _ => Kind::NewTool,
    }
}
