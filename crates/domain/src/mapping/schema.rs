//! Which columns an entity needs, and how an existing table gets there: additive and widening only, never a drop, a
//! rename or a narrowing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::column::{self, ColumnName, ColumnType, OVERFLOW_COLUMN, TimestampStyle};
use crate::entity::EntityType;
use crate::field::{FieldDescription, FieldKind, FieldName};
use crate::progress::Cursor;
use crate::record::Layout;
use crate::run::RunId;

/// Columns for fields that a table gets at most; further fields share the overflow column. PostgreSQL allows 1,600
/// columns, dropped ones included, and a row of pointers must fit 8,160 bytes.
pub const MAX_FIELD_COLUMNS: usize = 700;

/// Name of the field that is the record's id and has its own column already.
const ID_FIELD: &str = "ID";

/// Type of a column that a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActualType {
    /// One that the service can write.
    Known(ColumnType),
    /// Another one, as PostgreSQL names it.
    Other(String),
}

/// The columns that a replica table has, ours and others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableShape {
    /// Name and type, in the table's order.
    pub columns: Vec<(ColumnName, ActualType)>,
}

impl TableShape {
    fn get(&self, name: &ColumnName) -> Option<&ActualType> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, actual)| actual)
    }
}

/// A field's place in its table, as remembered by the data dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredField {
    /// The field.
    pub field: FieldName,
    /// Its column; `None` when it goes to the overflow column.
    pub column: Option<ColumnName>,
    /// Column of its currency, for amounts.
    pub currency: Option<ColumnName>,
    /// Its type as the portal called it last.
    pub type_name: String,
    /// Whether a value was a list.
    pub multiple: bool,
    /// Whether the portal did not have it any more at the last look.
    pub retired: bool,
}

/// What is known of a replica table before a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownTable {
    /// Its columns; `None` when it does not exist.
    pub shape: Option<TableShape>,
    /// The data dictionary's rows of this entity.
    pub fields: Vec<StoredField>,
    /// Columns that could not be widened: values that do not fit them are refused.
    pub pinned: HashSet<ColumnName>,
}

/// Where a field's values go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into a column of its own.
    Column {
        /// Its name.
        name: ColumnName,
        /// The type it has.
        column_type: ColumnType,
        /// Whether it cannot be widened.
        pinned: bool,
    },
    /// Into the overflow column, under the field's name.
    Overflow,
}

/// A field and where its values go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedField {
    /// The field.
    pub field: FieldName,
    /// What its values are.
    pub kind: FieldKind,
    /// Whether a value is a list.
    pub multiple: bool,
    /// Where its values go.
    pub target: Target,
    /// Where its currency goes, for amounts with a column of their own.
    pub currency: Option<Target>,
}

/// Everything that turns an entity's records into rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMapping {
    /// The entity.
    pub entity: EntityType,
    /// Its fields, in the order of `layout`.
    pub fields: Vec<MappedField>,
    /// What to ask the portal for.
    pub layout: Arc<Layout>,
    /// Whether the table has the overflow column.
    pub overflow: bool,
}

/// A column to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub column_type: ColumnType,
}

/// A column to be given a wider type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Widening {
    /// Its name.
    pub column: ColumnName,
    /// The wider type.
    pub to: ColumnType,
}

/// A row of the data dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryEntry {
    /// The field as the portal describes it.
    pub description: FieldDescription,
    /// Its column; `None` for the overflow column.
    pub column: Option<ColumnName>,
    /// The column's type; `None` for the overflow column.
    pub column_type: Option<ColumnType>,
    /// Column of its currency.
    pub currency: Option<ColumnName>,
}

/// What a change of a field means for the records that are stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RereadScope {
    /// The field is new: the records that have a value of it are read again.
    Values,
    /// The field is gone: what is remembered of the records' content still speaks of it, so that each is compared anew.
    Compare,
    /// The field came back, or its values mean something else now: what is stored of it may be what nobody wrote, so
    /// that every row is written again.
    Rewrite,
}

impl RereadScope {
    /// Every scope.
    pub const ALL: [RereadScope; 3] = [RereadScope::Values, RereadScope::Compare, RereadScope::Rewrite];

    /// The word for programs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            RereadScope::Values => "values",
            RereadScope::Compare => "compare",
            RereadScope::Rewrite => "rewrite",
        }
    }
}

/// A field for whose sake stored records have to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Which field.
    pub field: FieldName,
    /// Which of the records.
    pub scope: RereadScope,
}

/// A change that has not reached all stored records yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChange {
    /// Which change.
    pub change: FieldChange,
    /// Records up to here have been read again for it.
    pub cursor: Cursor,
    /// The full run that reads every record with the field as it is now, if there is one.
    pub covered_by: Option<RunId>,
}

/// How the table of an entity gets to what the entity needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaPlan {
    /// The entity.
    pub entity: EntityType,
    /// Whether the table does not exist yet.
    pub create: bool,
    /// Columns to add.
    pub add: Vec<NewColumn>,
    /// Columns to widen.
    pub widen: Vec<Widening>,
    /// The entity's fields for the data dictionary; fields that are not here are retired, their columns stay.
    pub dictionary: Vec<DictionaryEntry>,
    /// Fields that are not what they were when the stored records were read.
    pub changes: Vec<FieldChange>,
    /// Mapping once the plan is carried out.
    pub mapping: TableMapping,
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A column of an existing table has a type that the service cannot write.
    #[error("column `{column}` has the type `{found}`")]
    UnsupportedColumn {
        /// Which column.
        column: ColumnName,
        /// Its type.
        found: String,
    },
}

/// Plans the table of an entity from what the portal describes and what the database has.
///
/// A field keeps the column that the dictionary remembers. Before the dictionary knows the entity, a table that is
/// there was made by another program from the same fields, so its columns are taken over by name; afterwards a column
/// that the dictionary does not know belongs to the user and is left alone.
///
/// # Errors
/// [`PlanError`] when a column that is taken over has a type that the service cannot write.
pub fn plan(
    entity: EntityType,
    described: &[FieldDescription],
    known: &KnownTable,
    timestamps: TimestampStyle,
) -> Result<SchemaPlan, PlanError> {
    let mut planner = Planner::new(known, timestamps);
    let changes = changes(described, known);
    let mut described: Vec<&FieldDescription> =
        described.iter().filter(|description| description.name.as_str() != ID_FIELD).collect();
    // Names are given in a fixed order, so that two processes that see the same fields choose the same names.
    described.sort_by(|a, b| a.name.cmp(&b.name));
    described.dedup_by(|a, b| a.name == b.name);
    let mut fields = Vec::with_capacity(described.len());
    let mut dictionary = Vec::with_capacity(described.len());
    for description in described {
        let (field, entry) = planner.place(description)?;
        fields.push(field);
        dictionary.push(entry);
    }
    let overflow = planner.overflow(fields.iter().any(|field| field.target == Target::Overflow));
    fields.sort_by(|a, b| a.field.cmp(&b.field));
    let layout = Layout::new(fields.iter().map(|field| field.field.clone()).collect());
    Ok(SchemaPlan {
        entity,
        create: known.shape.is_none(),
        add: planner.add,
        widen: planner.widen,
        dictionary,
        changes,
        mapping: TableMapping { entity, fields, layout, overflow },
    })
}

/// What the portal describes differently from what the dictionary remembers. Before the dictionary knows the entity,
/// nothing was read with other fields.
fn changes(described: &[FieldDescription], known: &KnownTable) -> Vec<FieldChange> {
    if known.fields.is_empty() {
        return Vec::new();
    }
    let stored: HashMap<&FieldName, &StoredField> = known.fields.iter().map(|field| (&field.field, field)).collect();
    let mut scopes: BTreeMap<&FieldName, RereadScope> = BTreeMap::new();
    for description in described.iter().filter(|description| description.name.as_str() != ID_FIELD) {
        let scope = match stored.get(&description.name) {
            None => RereadScope::Values,
            Some(before) if before.retired || !same_values(before, description) => RereadScope::Rewrite,
            Some(_) => continue,
        };
        scopes.insert(&description.name, scope);
    }
    let names: HashSet<&FieldName> = described.iter().map(|description| &description.name).collect();
    for gone in known.fields.iter().filter(|field| !field.retired && !names.contains(&field.field)) {
        scopes.insert(&gone.field, RereadScope::Compare);
    }
    scopes.into_iter().map(|(field, scope)| FieldChange { field: field.clone(), scope }).collect()
}

/// Whether a field's values still mean the same. Two of the portal's types may become the same cells and yet be different
/// fields: whoever retypes one deletes its values.
fn same_values(before: &StoredField, now: &FieldDescription) -> bool {
    before.multiple == now.multiple && before.type_name == now.type_name
}

impl SchemaPlan {
    /// Whether carrying it out would change the table.
    pub fn changes_table(&self) -> bool {
        self.create || !self.add.is_empty() || !self.widen.is_empty()
    }

    /// The same plan with the needs that a batch of records showed.
    #[must_use]
    pub fn with_needs(mut self, needs: &[SchemaNeed]) -> SchemaPlan {
        self.create = false;
        self.add.clear();
        self.widen.clear();
        self.changes.clear();
        for need in needs {
            match need {
                SchemaNeed::Widen(widening) => self.widen.push(widening.clone()),
                SchemaNeed::Overflow => {
                    self.add.push(NewColumn {
                        name: ColumnName::existing(OVERFLOW_COLUMN),
                        column_type: ColumnType::Jsonb,
                    });
                    self.mapping.overflow = true;
                }
            }
        }
        for widening in &self.widen {
            self.mapping.retype(widening);
            for entry in &mut self.dictionary {
                if entry.column.as_ref() == Some(&widening.column) {
                    entry.column_type = Some(widening.to);
                }
            }
        }
        self
    }
}

impl TableMapping {
    /// Just these fields of it, for reading little of many records.
    #[must_use]
    pub fn narrowed(&self, fields: &HashSet<FieldName>) -> TableMapping {
        let fields: Vec<MappedField> =
            self.fields.iter().filter(|mapped| fields.contains(&mapped.field)).cloned().collect();
        let layout = Layout::new(fields.iter().map(|mapped| mapped.field.clone()).collect());
        TableMapping { entity: self.entity, fields, layout, overflow: self.overflow }
    }

    fn targets(&mut self) -> impl Iterator<Item = &mut Target> {
        self.fields.iter_mut().flat_map(|field| std::iter::once(&mut field.target).chain(field.currency.as_mut()))
    }

    fn retype(&mut self, widening: &Widening) {
        for target in self.targets() {
            if let Target::Column { name, column_type, .. } = target
                && *name == widening.column
            {
                *column_type = widening.to;
            }
        }
    }

    /// Marks a column as one that cannot be widened: what does not fit it is refused from now on.
    pub fn pin(&mut self, column: &ColumnName, kept: ColumnType) {
        for target in self.targets() {
            if let Target::Column { name, column_type, pinned } = target
                && name == column
            {
                *column_type = kept;
                *pinned = true;
            }
        }
    }

    /// Whether a column is known not to be widened.
    pub fn is_pinned(&self, column: &ColumnName) -> bool {
        let mut targets =
            self.fields.iter().flat_map(|field| std::iter::once(&field.target).chain(field.currency.as_ref()));
        targets.any(|target| matches!(target, Target::Column { name, pinned: true, .. } if name == column))
    }

    /// The type that a column has now.
    pub fn column_type(&self, column: &ColumnName) -> Option<ColumnType> {
        self.fields.iter().flat_map(|field| std::iter::once(&field.target).chain(field.currency.as_ref())).find_map(
            |target| match target {
                Target::Column { name, column_type, .. } if name == column => Some(*column_type),
                _ => None,
            },
        )
    }
}

/// What a batch of records needs that the table does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SchemaNeed {
    /// A wider column.
    Widen(Widening),
    /// The overflow column.
    Overflow,
}

struct Planner<'a> {
    known: &'a KnownTable,
    stored: HashMap<&'a FieldName, &'a StoredField>,
    timestamps: TimestampStyle,
    taken: HashSet<String>,
    adopting: bool,
    columns: usize,
    add: Vec<NewColumn>,
    widen: Vec<Widening>,
}

impl<'a> Planner<'a> {
    fn new(known: &'a KnownTable, timestamps: TimestampStyle) -> Planner<'a> {
        let adopting = known.fields.is_empty();
        let mut taken: HashSet<String> = HashSet::new();
        for field in &known.fields {
            taken.extend([&field.column, &field.currency].into_iter().flatten().map(|name| name.as_str().to_owned()));
        }
        let columns = taken.len();
        if !adopting && let Some(shape) = &known.shape {
            taken.extend(shape.columns.iter().map(|(name, _)| name.as_str().to_owned()));
        }
        let stored = known.fields.iter().map(|field| (&field.field, field)).collect();
        Planner { known, stored, timestamps, taken, adopting, columns, add: Vec::new(), widen: Vec::new() }
    }

    fn place(&mut self, description: &FieldDescription) -> Result<(MappedField, DictionaryEntry), PlanError> {
        let FieldDescription { name, kind, multiple, .. } = description;
        let stored = self.stored.get(name).copied();
        let wants_currency = *kind == FieldKind::Money && !multiple;
        let column = match stored {
            Some(stored) => stored.column.clone(),
            None if self.columns >= MAX_FIELD_COLUMNS => None,
            None => Some(self.choose(name.as_str())),
        };
        let wanted = ColumnType::for_field(*kind, *multiple, self.timestamps);
        let mut target = match &column {
            Some(column) => self.ensure(column, wanted)?,
            None => Target::Overflow,
        };
        if stored.is_some_and(|stored| !same_values(stored, description)) {
            self.make_room(&mut target, wanted);
        }
        let currency_name = match (stored.and_then(|stored| stored.currency.clone()), &column) {
            (Some(currency), _) => Some(currency),
            (None, Some(column)) if wants_currency => Some(self.choose(&format!("{column}_currency"))),
            _ => None,
        };
        let currency = match &currency_name {
            Some(currency) if wants_currency => Some(self.ensure(currency, ColumnType::Varchar(10))?),
            _ => None,
        };
        let column_type = match &target {
            Target::Column { column_type, .. } => Some(*column_type),
            Target::Overflow => None,
        };
        let entry = DictionaryEntry { description: description.clone(), column, column_type, currency: currency_name };
        Ok((MappedField { field: name.clone(), kind: *kind, multiple: *multiple, target, currency }, entry))
    }

    fn choose(&mut self, field: &str) -> ColumnName {
        let name = column::choose_name(field, &self.taken);
        self.taken.insert(name.as_str().to_owned());
        self.columns += 1;
        name
    }

    /// The column as it is, or as it will be once added.
    fn ensure(&mut self, name: &ColumnName, wanted: ColumnType) -> Result<Target, PlanError> {
        let existing = self.known.shape.as_ref().and_then(|shape| shape.get(name));
        let column_type = match existing {
            Some(ActualType::Known(column_type)) => *column_type,
            Some(ActualType::Other(found)) => {
                return Err(PlanError::UnsupportedColumn { column: name.clone(), found: found.clone() });
            }
            None => {
                self.add.push(NewColumn { name: name.clone(), column_type: wanted });
                wanted
            }
        };
        debug_assert!(existing.is_none() || self.adopting || self.taken.contains(name.as_str()));
        Ok(Target::Column { name: name.clone(), column_type, pinned: self.known.pinned.contains(name) })
    }

    /// A field whose values are of another kind than those that its column was made for keeps its column; text holds
    /// both.
    fn make_room(&mut self, target: &mut Target, wanted: ColumnType) {
        if let Target::Column { name, column_type, pinned: false } = target
            && !column_type.can_hold(wanted)
        {
            *column_type = ColumnType::Text;
            self.widen.push(Widening { column: name.clone(), to: ColumnType::Text });
        }
    }

    fn overflow(&mut self, needed: bool) -> bool {
        let name = ColumnName::existing(OVERFLOW_COLUMN);
        let exists = self.known.shape.as_ref().is_some_and(|shape| shape.get(&name).is_some());
        if needed && !exists {
            self.add.push(NewColumn { name, column_type: ColumnType::Jsonb });
        }
        exists || needed
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
