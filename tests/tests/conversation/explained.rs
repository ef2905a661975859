//! What servers did is what they tell they did: each event's checks, made again, come to the
//! verdict that is stored, and each merge of the room's state, made again, to the stored state.

use std::cell::RefCell;

use comity_core::pdu::explain::{
    Archive, event::CheckResult, explain_event, explain_room, explain_state_before, recent_graph,
};

use crate::stage::Stage;

impl Stage {
    /// How many of the room's merges the server explained.
    pub fn must_explain_itself(&mut self, server: &str) -> usize {
        let room_id = self.room_id.clone();
        let server = RefCell::new(self.network.server(server));
        let archive = Archive::new(|read| Ok(server.borrow_mut().read(read)), None);
        let graph = recent_graph(&room_id, 1000, true, &archive).unwrap();
        let latest = explain_room(&room_id, &archive).unwrap().resolution;
        assert!(latest.is_none_or(|merge| merge.agrees));
        let mut merges = 0;
        for event in &graph.events {
            let event_id = &event.event.event_id;
            let report = explain_event(event_id, &archive).unwrap();
            assert!(report.agrees, "{report:#?}");
            let forged = report
                .checks
                .iter()
                .take(2)
                .any(|check| matches!(check.result, CheckResult::Failed { .. }));
            assert!(!forged, "{report:#?}");
            let before = explain_state_before(event_id, &archive).unwrap().resolution;
            merges += before.iter().count();
            assert!(before.is_none_or(|merge| merge.agrees), "{event:?}");
        }
        merges
    }
}
