//! Places for listeners: so many in all, and so many for one user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::problem::{Kind, Problem};
use crate::settings::ApiSettings;

/// The places of this instance.
#[derive(Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    in_all: usize,
    per_subject: usize,
}

/// A place; free again when it is dropped.
pub(crate) struct Place {
    places: Places,
    subject: String,
}

impl Places {
    pub(crate) fn new(settings: &ApiSettings) -> Places {
        Places {
            taken: Arc::default(),
            in_all: settings.max_listeners,
            per_subject: settings.max_listeners_per_subject,
        }
    }

    /// A place for this user.
    pub(crate) fn take(&self, subject: &str) -> Result<Place, Problem> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.in_all {
            return Err(full(Kind::Unavailable, "there are too many listeners"));
        }
        let mine = taken.entry(subject.to_owned()).or_default();
        if *mine >= self.per_subject {
            return Err(full(Kind::TooManyRequests, "you have too many listeners"));
        }
        *mine += 1;
        Ok(Place { places: self.clone(), subject: subject.to_owned() })
    }
}

fn full(kind: Kind, what: &str) -> Problem {
    Problem::new(kind, format!("{what}; try again later")).retry_after(Duration::from_secs(30))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = taken.get_mut(&self.subject) {
            *mine -= 1;
            if *mine == 0 {
                taken.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_all_places_and_those_that_left_are_forgotten() {
        let settings = ApiSettings { max_listeners: 3, max_listeners_per_subject: 2, ..ApiSettings::default() };
        let places = Places::new(&settings);
        let mine = [places.take("a").unwrap(), places.take("a").unwrap()];
        assert!(places.take("a").is_err());
        let _other = places.take("b").unwrap();
        assert!(places.take("c").is_err());
        drop(mine);
        assert!(places.take("c").is_ok());
        assert_eq!(places.taken.lock().unwrap().len(), 1);
    }
}
