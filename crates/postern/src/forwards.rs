//! How the servers of forwards fare: for `postern check --connect`, and at the gateway's start.

use std::sync::Arc;

use auth::Forward;

use crate::config::problem::{Place, Problem};

/// Connects to every server of a forward: what is wrong there.
pub(crate) async fn connect(forward: &Forward, place: &Place) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = forward.name();
    for look in forward.look().await {
        match look.fault {
            None => println!("forward.{name}: {}: takes passwords", look.server),
            Some((why, mend)) => {
                let (at, key) = (place.at(Some(forward.place())), format!("forward.{name}.servers"));
                problems.push(Problem::error(at, &key, &format!("{}: {why}", look.server)).mend(mend));
            }
        }
    }
    problems
}

/// Looks at every server once; what is wrong is logged, and nobody waits for it.
pub(crate) async fn look(forwards: &[Arc<Forward>]) {
    for forward in forwards {
        forward.look().await;
    }
}
