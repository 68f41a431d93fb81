//! What is asked, and which servers answer it.

use Rival::{
    Floor, JsonServer, Mirror, Nginx, NginxGzip, NginxGzipStatic, NginxProxy, Reference, Varnish,
};

/// One request that all its rivals are asked, again and again.
pub(super) struct Case {
    /// Its name on the command line and among the figures.
    pub(super) name: &'static str,
    /// What is asked for.
    pub(super) what: What,
    /// The query, with its question mark.
    pub(super) query: &'static str,
    /// Header fields beside `Host`.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Whether the request carries the validator of the server's own last answer.
    pub(super) is_conditional: bool,
    /// The right answer's status.
    pub(super) status: u16,
    /// Where the servers run.
    pub(super) place: Place,
    /// Who answers; the mirror comes first.
    pub(super) rivals: &'static [Rival],
    /// Who also answers at a fixed rate.
    pub(super) steady: &'static [Rival],
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// One film.
    Film,
    /// All films.
    Films,
    /// The page.
    Movies,
    /// A film that does not exist.
    Nothing,
}

/// Where the servers run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On one core, started there; the load has the other.
    OneCore,
    /// On one core with a worker for each of the machine's cores; the load has the other.
    Crowded,
    /// On all cores, with the load.
    AllCores,
}

/// A compared server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// This project's server.
    Mirror,
    /// The mirror's answer, repeated by a bare loop.
    Floor,
    /// Files, kept open.
    Nginx,
    /// Files, compressed for each request.
    NginxGzip,
    /// Files, compressed beforehand at the best level.
    NginxGzipStatic,
    /// A cache in front of the mirror.
    NginxProxy,
    /// A cache in memory in front of the mirror.
    Varnish,
    /// The software that the upstream runs.
    JsonServer,
    /// What this project replaces: Flask and memcached.
    Reference,
}

impl Rival {
    /// Its name in tables and among the figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::NginxGzip => "nginx-gzip",
            Self::NginxGzipStatic => "nginx-gzip-static",
            Self::NginxProxy => "nginx-proxy-cache",
            Self::Varnish => "varnish",
            Self::JsonServer => "json-server",
            Self::Reference => "reference",
        }
    }
}

const PLAIN: Case = Case {
    name: "",
    what: What::Film,
    query: "",
    headers: &[],
    is_conditional: false,
    status: 200,
    place: Place::OneCore,
    rivals: &[],
    steady: &[],
};

/// All cases.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "film",
        rivals: &[Mirror, Floor, Nginx, NginxProxy, Varnish, JsonServer],
        steady: &[Mirror, Nginx],
        ..PLAIN
    },
    Case {
        name: "collection",
        what: What::Films,
        rivals: &[Mirror, Floor, Nginx, NginxProxy, Varnish, JsonServer],
        steady: &[Mirror, Nginx],
        ..PLAIN
    },
    Case {
        name: "compressed",
        what: What::Films,
        headers: &[("Accept-Encoding", "br, gzip")],
        rivals: &[Mirror, Floor, NginxGzip, NginxGzipStatic, JsonServer],
        ..PLAIN
    },
    Case {
        name: "304",
        is_conditional: true,
        status: 304,
        rivals: &[Mirror, Floor, Nginx, JsonServer],
        ..PLAIN
    },
    Case {
        name: "movies",
        what: What::Movies,
        rivals: &[Mirror, Floor, Nginx],
        ..PLAIN
    },
    Case {
        name: "movies-304",
        what: What::Movies,
        is_conditional: true,
        status: 304,
        rivals: &[Mirror, Floor, Nginx],
        ..PLAIN
    },
    Case {
        name: "filtered",
        what: What::Films,
        query: "?director=Hayao%20Miyazaki&fields=id,title",
        rivals: &[Mirror, Floor, JsonServer],
        ..PLAIN
    },
    Case {
        name: "limit",
        what: What::Films,
        query: "?limit=5",
        rivals: &[Mirror, Floor, JsonServer],
        ..PLAIN
    },
    Case {
        name: "404",
        what: What::Nothing,
        status: 404,
        rivals: &[Mirror, Floor, Nginx, JsonServer],
        ..PLAIN
    },
    Case {
        name: "connection",
        headers: &[("Connection", "close")],
        rivals: &[Mirror, Floor, Nginx, JsonServer],
        ..PLAIN
    },
    Case {
        name: "crowded",
        place: Place::Crowded,
        rivals: &[Mirror, Nginx],
        steady: &[Mirror, Nginx],
        ..PLAIN
    },
    Case {
        name: "movies-all-cores",
        what: What::Movies,
        place: Place::AllCores,
        rivals: &[Mirror, Reference],
        ..PLAIN
    },
    Case {
        name: "all-cores",
        place: Place::AllCores,
        rivals: &[Mirror, Nginx],
        ..PLAIN
    },
];
