"""The pages for people, under `/console/`: HTTP, forms and templates. What they do, the domain's verbs do."""
