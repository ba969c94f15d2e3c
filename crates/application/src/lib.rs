//! Use cases of the Bitrix24 sync service.
