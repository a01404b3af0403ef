"""hubserver"""
