//! Where mail goes: `[[route]]`.

use delivery::{Courier, DeliveryError};
use protocol::Domain;

use super::{Assembly, Parts};
use crate::config::problem::Problem;
use crate::config::settings::Settings;

impl Assembly<'_> {
    /// The routes, and whether what they name is there.
    pub(super) fn courier<T>(
        &mut self,
        settings: &Settings,
        policies: &Parts<T>,
        hostname: Option<&Domain>,
    ) -> Option<Courier> {
        let routes = &settings.route;
        if routes.is_empty() && !self.struck.iter().any(|struck| struck.starts_with("route")) {
            let problem = Problem::error(None, "route", "there is none, so no mail could leave");
            self.problems
                .push(problem.mend("add a [[route]] with domains = [\"*\"] and hosts = [\"mx.example.org:25\"]"));
        }
        let listeners: Vec<&String> = settings.listener.iter().map(|listener| listener.name.get_ref()).collect();
        let listeners_struck = self.struck.iter().any(|struck| struck.starts_with("listener"));
        for route in routes {
            for name in &route.policies {
                self.look_up(policies, "route.policies", name);
            }
            for name in route.listeners.iter().filter(|name| !listeners_struck && !listeners.contains(&name.get_ref()))
            {
                let problem = Problem::error(
                    self.place.at(Some(name.span())),
                    "route.listeners",
                    &format!("there is no [[listener]] with the name {:?}", name.get_ref()),
                );
                let known: Vec<&str> = listeners.iter().map(|name| name.as_str()).collect();
                self.problems.push(problem.mend(format!("write one of those there are: {}", known.join(", "))));
            }
        }
        match Courier::new(routes, hostname?, &session::provider()) {
            Ok(courier) => Some(courier),
            Err(errors) => {
                let problem =
                    |error: &DeliveryError| Problem::error(self.place.at(error.span()), "route", &error.to_string());
                self.problems.extend(errors.iter().map(problem));
                None
            }
        }
    }
}
