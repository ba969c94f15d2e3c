//! The places of a `batch` answer, one visitor each, from the frame down to a record. Everything that serde does not
//! accept here is not JSON at all; whatever is JSON but no honest page is noted at its page, so that a fault behind the
//! last page that counts does no harm.

use std::borrow::Cow;
use std::fmt;

use b24sync_domain::mapping::json::Key;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::answer::{Reader, Row};
use super::collected::Page;
use super::slots::Slot;

/// Makes a place of the answer readable, whatever kind of JSON stands there; `$unexpected` is the fault of its page where
/// it is a kind that does not belong there.
macro_rules! place {
    ($name:ident, $unexpected:expr) => {
        impl<'a> DeserializeSeed<'a> for $name<'_, '_, 'a> {
            type Value = ();

            fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl $name<'_, '_, '_> {
            fn unexpected(self) {
                let fault: Option<&'static str> = $unexpected;
                if let Some(fault) = fault {
                    self.0.fault(fault);
                }
            }
        }
    };
}

/// Visitor methods for the kinds of JSON that do not belong to a place.
macro_rules! scalars {
    () => {
        scalars!(visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str);

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            self.unexpected();
            Ok(())
        }

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an answer of the portal")
        }
    };
    ($($method:ident $kind:ty),*) => {
        $(fn $method<E: Error>(self, _value: $kind) -> Result<Self::Value, E> {
            self.unexpected();
            Ok(())
        })*
    };
}

fn skip_elements<'a, A: SeqAccess<'a>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The whole answer.
pub(super) struct Frame<'b, 'r, 'a>(pub(super) &'b mut Reader<'r, 'a>);
place!(Frame, None);

impl<'a> Visitor<'a> for Frame<'_, '_, 'a> {
    type Value = ();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
            match key.as_ref() {
                "result" => map.next_value_seed(BatchResult(self.0))?,
                "error" => self.0.answer.error = Some(map.next_value()?),
                "error_description" => self.0.answer.error_description = Some(map.next_value()?),
                "time" => self.0.answer.time = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        skip_elements(seq)
    }

    scalars!();
}

/// `result` of a batch.
struct BatchResult<'b, 'r, 'a>(&'b mut Reader<'r, 'a>);
place!(BatchResult, None);

impl<'a> Visitor<'a> for BatchResult<'_, '_, 'a> {
    type Value = ();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
            match key.as_ref() {
                "result" => {
                    self.0.answer.complete = true;
                    map.next_value_seed(Pages(self.0))?;
                }
                "result_error" => self.0.answer.errors = Some(map.next_value()?),
                "result_time" => self.0.answer.times = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        skip_elements(seq)
    }

    scalars!();
}

/// `result.result`: the results of the commands by name, or `[]` when there is none.
struct Pages<'b, 'r, 'a>(&'b mut Reader<'r, 'a>);
place!(Pages, None);

impl<'a> Visitor<'a> for Pages<'_, '_, 'a> {
    type Value = ();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(command)) = map.next_key::<Key<'a>>()? {
            let first = self.0.answer.records.rows();
            self.0.answer.records.pages.push(Page { command: command.into_owned(), rows: first..first, fault: None });
            map.next_value_seed(Listing(self.0))?;
            let last = self.0.answer.records.rows();
            if let Some(page) = self.0.answer.records.pages.last_mut() {
                page.rows.end = last;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        // Names of commands are never numbers here, so a list can only be the empty map.
        skip_elements(seq)
    }

    scalars!();
}

const NO_LIST: &str = "the result of a list is no list";
const NO_RECORD: &str = "an element of a list is no record";
const NO_ID: &str = "a record came without a valid id";

/// The result of one list command, still in its wrapper if the dialect has one.
struct Listing<'b, 'r, 'a>(&'b mut Reader<'r, 'a>);
place!(Listing, Some(NO_LIST));

impl<'a> Visitor<'a> for Listing<'_, '_, 'a> {
    type Value = ();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(wrapper) = self.0.slots.wrapper else { return Records(self.0).visit_map(map) };
        let mut found = false;
        while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
            if key == wrapper && !found {
                found = true;
                map.next_value_seed(Records(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if !found {
            self.0.fault(NO_LIST);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        if self.0.slots.wrapper.is_none() {
            return Records(self.0).visit_seq(seq);
        }
        self.0.fault(NO_LIST);
        skip_elements(seq)
    }

    scalars!();
}

/// The records of a page: a list, or the values of a map, which is how PHP writes a list with gaps.
struct Records<'b, 'r, 'a>(&'b mut Reader<'r, 'a>);
place!(Records, Some(NO_LIST));

impl<'a> Visitor<'a> for Records<'_, '_, 'a> {
    type Value = ();

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Record(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Record(self.0))?;
        }
        Ok(())
    }

    scalars!();
}

/// One record.
struct Record<'b, 'r, 'a>(&'b mut Reader<'r, 'a>);
place!(Record, Some(NO_RECORD));

impl<'a> Visitor<'a> for Record<'_, '_, 'a> {
    type Value = ();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut row = Row::default();
        let mut position = 0;
        while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
            let lasting = if let Cow::Borrowed(key) = key { Some(key) } else { None };
            match self.0.slot(position, &key, lasting) {
                Slot::Alias => {
                    map.next_value::<IgnoredAny>()?;
                }
                slot => self.0.take(slot, &key, map.next_value()?, &mut row),
            }
            position += 1;
        }
        if !self.0.end_row(&row) {
            self.0.fault(NO_ID);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        self.0.fault(NO_RECORD);
        skip_elements(seq)
    }

    scalars!();
}
