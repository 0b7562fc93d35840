"""What a page's headers and markup say about its use: reservations (robots, TDMRep) and licences."""
