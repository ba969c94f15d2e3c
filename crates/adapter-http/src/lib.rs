//! HTTP interface of the Bitrix24 sync service.
