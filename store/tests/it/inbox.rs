//! Reliable EDUs, until the application has acknowledged them.

use comity_core::{
    persistence::{
        queries::{Answer, InboxStanding, Read, Write},
        tables::{InboxId, InboxRecord},
    },
    time::WallTime,
};
use comity_store::Store;
use serde_json::json;

use crate::builder::*;

fn edu(id: u64, origin: &str, name: Option<&str>) -> InboxRecord {
    let content = json!({ "number": id });
    InboxRecord {
        id: InboxId(id),
        origin: server(origin),
        edu_type: "m.direct_to_device".to_owned(),
        content: content.as_object().unwrap().clone(),
        name: name.map(ToOwned::to_owned),
        received_at: WallTime(id),
    }
}

fn waiting(store: &mut Store) -> Vec<InboxRecord> {
    let after = InboxId::default();
    match read(store, Read::Inbox { after, limit: 9 }) {
        Answer::Inbox(edus) => edus,
        other => panic!("{other:?}"),
    }
}

fn standing(store: &mut Store, origin: &str, names: &[&str]) -> InboxStanding {
    let question = Read::InboxStanding {
        origin: server(origin),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    match read(store, question) {
        Answer::InboxStanding(standing) => standing,
        other => panic!("{other:?}"),
    }
}

fn with_edus(edus: &[InboxRecord]) -> Store {
    let mut store = store();
    let writes = edus.iter().cloned().map(Write::Receive).collect();
    commit(&mut store, writes);
    store
}

#[test]
fn what_is_acknowledged_waits_no_longer_but_its_name_is_known() {
    let edus = [
        edu(3, "bob.example", Some("a")),
        edu(4, "bob.example", None),
        edu(5, "bob.example", Some("b")),
    ];
    let mut store = with_edus(&edus);
    assert_eq!(waiting(&mut store), edus);
    let through = InboxId(4);
    commit(&mut store, vec![Write::Acknowledge { through }]);
    assert_eq!(waiting(&mut store), edus[2..]);
    let expected = InboxStanding {
        waiting: 1,
        bytes: r#"{"number":5}"#.len() as u64,
        known: vec!["a".to_owned(), "b".to_owned()],
    };
    assert_eq!(
        standing(&mut store, "bob.example", &["b", "c", "a", "a"]),
        expected
    );
    assert_eq!(
        standing(&mut store, "cal.example", &["a"]),
        InboxStanding::default()
    );
}

#[test]
fn names_are_forgotten_by_age_once_they_are_acknowledged() {
    let mut store = with_edus(&[
        edu(3, "bob.example", Some("a")),
        edu(5, "bob.example", Some("b")),
    ]);
    let through = InboxId(3);
    commit(&mut store, vec![Write::Acknowledge { through }]);
    let received_before = WallTime(9);
    commit(&mut store, vec![Write::ForgetInbox { received_before }]);
    let left = standing(&mut store, "bob.example", &["a", "b"]);
    assert_eq!((left.waiting, left.known), (1, vec!["b".to_owned()]));
}

#[test]
fn a_start_finds_the_highest_id_ever_given() {
    let mut store = with_edus(&[edu(7, "bob.example", None)]);
    let through = InboxId(7);
    commit(&mut store, vec![Write::Acknowledge { through }]);
    let Answer::Boot(boot) = read(&mut store, Read::Boot) else {
        panic!("no boot");
    };
    assert_eq!(boot.last_inbox, InboxId(7));
}
