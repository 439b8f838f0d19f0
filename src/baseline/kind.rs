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

    /// Whether none is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Names that a sketch keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum List {
    /// Models asked for, as sent upstream.
    Models,
    /// Models that answered.
    Served,
    /// MCP servers.
    Servers,
    /// Tools called over MCP, `server/tool`.
    McpTools,
    /// Tools offered to a model.
    Offered,
    /// Tools that a model called: one may be offered for a year, and never be.
    Called,
}

/// How many lists there are.
pub const LISTS: usize = 6;

impl List {
    /// Every list, in the order of the cell.
    pub const ALL: [List; LISTS] =
        [List::Models, List::Served, List::Servers, List::McpTools, List::Offered, List::Called];

    /// What a name is that is not in the list.
    pub const fn kind(self) -> Kind {
        match self {
            List::Models => Kind::NewModel,
            List::Served => Kind::NewServedModel,
            List::Servers => Kind::NewMcpServer,
            List::McpTools | List::Offered | List::Called => Kind::NewTool,
        }
    }
}
