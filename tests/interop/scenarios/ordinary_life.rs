//! What clients do day by day, done by bots on a published client SDK (`bots/ordinary_life.py`).

use crate::failure::Failure;
use crate::pair::Pair;

/// Two bots of one server: they log in, meet, talk, look back, exchange files, manage their devices
/// and part. That the other server passes too says that the bots ask for nothing odd.
pub fn is_lived(pair: &Pair, home: usize) -> Result<(), Failure> {
    pair.bots.live(&*pair.stage(home, "12").home)
}
