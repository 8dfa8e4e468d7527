module github.com/holdfast-auth/holdfast/interop

go 1.26.4

require github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a

require github.com/holdfast-auth/holdfast v0.0.0-00010101000000-000000000000

require github.com/go-jose/go-jose/v4 v4.1.8

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/luikyv/go-oidc v0.23.0
)

replace github.com/holdfast-auth/holdfast => ../
