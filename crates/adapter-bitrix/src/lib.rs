//! Reads a Bitrix24 portal over REST.
