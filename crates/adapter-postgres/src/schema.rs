//! The control tables that are read and written with diesel's own language. Never replicated tables.

diesel::table! {
    b24sync.fields (entity, field) {
        entity -> SmallInt,
        field -> Text,
        column_name -> Nullable<Text>,
        currency_column -> Nullable<Text>,
        bitrix_type -> Text,
        column_type -> Nullable<Text>,
        multiple -> Bool,
        label -> Nullable<Text>,
        options -> Jsonb,
        first_seen -> Timestamptz,
        last_seen -> Timestamptz,
        retired -> Bool,
    }
}

diesel::table! {
    b24sync.pinned_columns (entity, column_name) {
        entity -> SmallInt,
        column_name -> Text,
        pinned_at -> Timestamptz,
    }
}

diesel::table! {
    b24sync.replicas (entity) {
        entity -> SmallInt,
        table_schema -> Text,
        table_name -> Text,
        relation -> Oid,
        ours -> Bool,
        keeps_deleted -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    b24sync.entity_progress (entity) {
        entity -> SmallInt,
        watermark -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
        floor_id -> BigInt,
        next_floor_id -> BigInt,
        next_floor_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    b24sync.quarantine (entity, item_id) {
        entity -> SmallInt,
        item_id -> BigInt,
        read_seq -> BigInt,
        field -> Nullable<Text>,
        reason -> Text,
        excerpt -> Nullable<Text>,
        first_seen -> Timestamptz,
        last_seen -> Timestamptz,
        run_id -> BigInt,
    }
}
