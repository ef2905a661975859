//! Each lie of the hostile servers alone, in a scene that is always the same: it is told, no promise
//! to honest servers is broken, and they do about it what they should.

mod answered;
mod pushed;

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};
use comity_tests::simulation::{
    Counts, Deed, Fault, Lie, Plan, Report, ServerPlan, Step, User, What, run,
};

/// The hostile server; the others are 0 and 1.
const LIAR: u8 = 2;

/// How many honest servers there are to be lied to.
const HONEST: u64 = 2;

/// A scene in the making.
struct Scene {
    version: RoomVersion,
    steps: Vec<What>,
}

/// What came of a scene.
struct Told(Report);

fn ann(server: u8) -> User {
    User { server, name: 0 }
}

impl Scene {
    /// A room with users of two honest servers.
    fn nobody_knows_the_liar(version: RoomVersion) -> Self {
        let scene = Self {
            version,
            steps: Vec::new(),
        };
        scene.creates(0, 0).does(1, Deed::Join(0, 0))
    }

    /// The same with a user of the hostile server in it, and a room of the liar's with one of the
    /// others.
    fn begin(version: RoomVersion) -> Self {
        let scene = Self::nobody_knows_the_liar(version).does(LIAR, Deed::Join(0, 0));
        let scene = scene.creates(LIAR, 1).does(0, Deed::Join(1, LIAR));
        scene.does(LIAR, Deed::Say(0, 1))
    }

    fn creates(self, server: u8, room: u8) -> Self {
        let version = self.version;
        let create = Deed::Create {
            room,
            version,
            preset: Preset::Public,
            levels: Vec::new(),
        };
        self.does(server, create)
    }

    /// A user does something.
    fn does(mut self, server: u8, deed: Deed) -> Self {
        self.steps.push(What::Deed(ann(server), deed));
        self
    }

    /// Something breaks.
    fn breaks(mut self, fault: Fault) -> Self {
        self.steps.push(What::Fault(fault));
        self
    }

    /// The hostile server lies.
    fn lies(mut self, lie: Lie) -> Self {
        self.steps.push(What::Lie(LIAR, lie));
        self
    }

    /// Plays the scene, with something said by all at the end, and holds every promise to it.
    fn play(self) -> Told {
        let scene = self.does(0, Deed::Say(0, 1)).does(1, Deed::Say(0, 1));
        let step = |what| Step {
            what,
            pause: Duration::from_secs(5),
        };
        let server = |index| ServerPlan {
            hostile: index == LIAR,
            ..ServerPlan::usual(index)
        };
        let plan = Plan {
            seed: 1,
            servers: (0..=LIAR).map(server).collect(),
            steps: scene.steps.into_iter().map(step).collect(),
        };
        match run(&plan) {
            Ok(report) => Told(report),
            Err(violation) => panic!("in a room of version {}: {violation}", scene.version),
        }
    }
}

/// Plays a scene in rooms of two versions: one in which servers choose the ids of events, and one
/// in which they do not.
fn in_all_rooms(scene: impl Fn(Scene) -> Scene) -> impl Iterator<Item = Told> {
    let versions = [RoomVersion::V2, RoomVersion::V11];
    versions
        .into_iter()
        .map(move |version| scene(Scene::begin(version)).play())
}

impl Told {
    /// How often a lie of this kind was told.
    fn lies(&self, kind: &str) -> u64 {
        self.0.lies.get(kind).copied().unwrap_or_default()
    }

    /// How often something was made of it that is told in these words.
    fn came_to(&self, words: &str) -> u64 {
        let branches: &Counts = &self.0.branches;
        let told = branches.iter().filter(|(what, _)| what.contains(words));
        told.map(|(_, count)| count).sum()
    }

    /// That it was told once, and came to this on every honest server.
    #[track_caller]
    fn comes_to(&self, kind: &str, words: &str) {
        assert_eq!(self.lies(kind), 1, "{:?}", self.0.lies);
        let branches = &self.0.branches;
        assert!(self.came_to(words) >= HONEST, "{words}: {branches:#?}");
    }
}
