//! Carries a plan out and says whether every promise was kept.
//!
//! | file | holds |
//! |---|---|
//! | `users` | what deeds are, as commands |
//! | `addresses` | an identity server, and what it finds out |
//! | `faults` | what faults do to servers and wires |
//! | `lies` | what hostile servers do |
//! | `ending` | how a world comes to rest and is judged |

mod addresses;
mod ending;
mod faults;
mod lies;
mod users;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
};

use comity_core::messaging::{
    command::{Command, Reply},
    settings::RequestLimits,
};
use ruma_common::{OwnedRoomId, OwnedServerName};

use self::addresses::Addressed;
use super::{
    chronicle::Report,
    hostile,
    invariants::{self, Order, Violation},
    network::{Network, Quality},
    plan::{Plan, Slot, Step, What, show},
    server::Server,
};

/// How many requests servers have under way at most: so few that one who floods them could take all,
/// though not the half that those may take who have not proved who they are.
const SMALL: RequestLimits = RequestLimits {
    requests: 900,
    requests_per_server: 100,
    bytes: 64 << 20,
    bytes_per_server: 8 << 20,
};

/// Carries a plan out. The same plan always gives the same result.
///
/// # Errors
/// What was not kept.
pub fn run(plan: &Plan) -> Result<Report, Box<Violation>> {
    run_and_tell(plan, false).0
}

/// The same, and what happened, line by line, if that is wanted.
pub fn run_and_tell(plan: &Plan, tell: bool) -> (Result<Report, Box<Violation>>, Vec<String>) {
    let mut world = World::new(plan, tell);
    let whole = AssertUnwindSafe(|| world.play(plan));
    let result = panic::catch_unwind(whole).unwrap_or_else(|panicked| {
        let what = panicked.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panicked.downcast_ref::<&str>().map(ToString::to_string));
        Err(Violation {
            invariant: "nothing panics",
            at: world.network.now().monotonic,
            what: what.unwrap_or_default(),
        })
    });
    let tale = world.network.chronicle.take_tale();
    let report = result.map(|()| world.network.chronicle.report(plan));
    (report.map_err(Box::new), tale)
}

/// A plan that is being carried out.
struct World {
    network: Network,
    honest: BTreeSet<OwnedServerName>,
    rooms: BTreeMap<Slot, OwnedRoomId>,
    /// Rooms of slots that were asked for and may yet come to be.
    creating: BTreeMap<Slot, usize>,
    orders: Vec<Order>,
    /// How many words were said.
    words: u64,
    /// The addresses that were invited last.
    addressed: BTreeMap<Slot, Addressed>,
}

impl World {
    fn new(plan: &Plan, tell: bool) -> Self {
        let mut network = Network::empty(invariants::all());
        network.chronicle.set_telling(tell);
        network.sow(plan.seed);
        network.set_usual_quality(Quality {
            jitter: 200,
            ..Quality::default()
        });
        network.let_keys_outlive();
        network.add_liar(addresses::identity_server());
        let mut honest = BTreeSet::new();
        for server in &plan.servers {
            let name = show::server(server.index);
            network.set_skew(name, server.skew * 1_000);
            let mut host = Server::on(name, server.database);
            host.settings.extremities_max = usize::from(server.extremities_max);
            host.settings.requests = SMALL;
            host.settings.join_in_part = server.joins_in_part;
            match server.hostile {
                true => {
                    host.keys.retired.push(hostile::retired_key().1);
                    network.make_hostile(name, plan.seed ^ u64::from(server.index));
                }
                false => drop(honest.insert(name.try_into().expect("a server name"))),
            }
            network.add(host);
        }
        Self {
            network,
            honest,
            rooms: BTreeMap::new(),
            creating: BTreeMap::new(),
            orders: Vec::new(),
            words: 0,
            addressed: BTreeMap::new(),
        }
    }

    fn play(&mut self, plan: &Plan) -> Result<(), Violation> {
        for step in &plan.steps {
            self.step(step)?;
        }
        self.heal();
        self.last_words()?;
        self.judge()
    }

    fn step(&mut self, step: &Step) -> Result<(), Violation> {
        self.network
            .chronicle
            .tell(self.network.now(), || step.to_string());
        match &step.what {
            What::Deed(user, deed) => self.deed(*user, deed),
            What::Fault(fault) => self.fault(fault),
            What::Lie(index, lie) => self.lie(*index, *lie),
        }
        self.network.pass(step.pause);
        self.gather();
        self.look()
    }

    /// Asks every invariant that looks between steps.
    fn look(&mut self) -> Result<(), Violation> {
        self.network.look(&self.honest);
        self.network.verdict()
    }

    /// Gives a command to a server, if that is up.
    fn order(&mut self, server: &str, command: Command) -> Option<usize> {
        if !self.is_up(server) {
            return None;
        }
        let life = self.network.server(server).life();
        let id = self.network.start_command(server, command.clone());
        self.orders.push(Order {
            server: server.try_into().expect("a server name"),
            life,
            id,
            command,
            outcome: None,
        });
        Some(self.orders.len() - 1)
    }

    /// Gives a server that was started again those commands once more that it never answered and
    /// that are to have their effect once.
    fn order_again(&mut self, server: &str) {
        self.gather();
        let unanswered = self.orders.iter().filter(|order| {
            let never_answered = order.server == server && order.outcome.is_none();
            never_answered && order.key().is_some()
        });
        let unanswered: BTreeMap<_, _> = unanswered
            .map(|order| (order.key().map(ToOwned::to_owned), order.command.clone()))
            .collect();
        for command in unanswered.into_values() {
            self.order(server, command);
        }
    }

    /// A word that nobody has said yet.
    fn new_word(&mut self) -> String {
        self.words += 1;
        self.words.to_string()
    }

    /// Whether there is such a server, and it is up.
    fn is_up(&mut self, server: &str) -> bool {
        self.network.has(server) && self.network.server(server).is_up()
    }

    /// Notes how commands ended.
    fn gather(&mut self) {
        for order in self
            .orders
            .iter_mut()
            .filter(|order| order.outcome.is_none())
        {
            let outcome = self
                .network
                .server(order.server.as_str())
                .finished(order.id);
            if let Some(outcome) = &outcome {
                let (server, now) = (&order.server, self.network.now());
                self.network.chronicle.completed(now, server, outcome);
            }
            order.outcome = outcome;
        }
        self.creating
            .retain(|slot, index| match &self.orders[*index].outcome {
                None => true,
                Some(outcome) => {
                    if let Ok(Reply::Room(room_id)) = outcome {
                        self.rooms.insert(*slot, room_id.clone());
                    }
                    false
                }
            });
    }
}
