-- SPDX-License-Identifier: MIT
-- Addresses of sandboxes, and the ports that are published.

-- Which of the range's addresses it has, counted from the gateway's; 0: none.
ALTER TABLE sandboxes ADD COLUMN address_number INTEGER NOT NULL DEFAULT 0
        CHECK (address_number BETWEEN 0 AND 4294967295);
-- JSON, of texts "ADDRESS:PORT:PORT/PROTOCOL".
ALTER TABLE sandboxes ADD COLUMN ports TEXT NOT NULL DEFAULT '[]'
        CHECK (ports GLOB '[[]*]');
CREATE UNIQUE INDEX sandboxes_by_address ON sandboxes (address_number) WHERE address_number > 0;
